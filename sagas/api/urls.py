"""Addresses of the REST API, to be included: `path("api/", include("sagas.api.urls"))`."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from .installed import has_openapi, require_api_packages

app_name = "sagas-api"


def _patterns() -> list[URLPattern]:
    require_api_packages()
    from . import answering, operating, views

    return [
        path("sagas/", views.SagaListView.as_view(), name="saga-list"),
        path("sagas/answers/", answering.AnswerView.as_view(), name="answers"),
        path("sagas/<str:id>/", views.SagaView.as_view(), name="saga-detail"),
        *(
            path(f"sagas/<str:id>/{view.address}/", view.as_view(), name=f"saga-{view.address}")
            for view in operating.VIEWS
        ),
        *_schema_patterns(),
        # Below sagas/ even a wrong address is answered in the API's own form.
        re_path(r"^sagas/.+/$", views.UnknownView.as_view(), name="unknown"),
    ]


def _schema_patterns() -> list[URLPattern]:
    if not has_openapi():
        return []
    from .description import SchemaView

    return [path("schema/", SchemaView.as_view(), name="schema")]


urlpatterns = _patterns()
