"""The description for programs: valid, complete, only of this API, and only for those who may use it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.api.people import Caller

SCHEMA = "/api/schema/"


class HostView(APIView):
    """A view of the host's, not for our users' eyes."""

    def get(self, request: Any) -> Response:
        return Response()


urlpatterns = [path("backend/", include("sagas.api.urls")), path("private/", HostView.as_view())]


def test_command__has_nothing_to_warn_of(tmp_path: Path) -> None:
    target = tmp_path / "schema.yml"

    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))

    described = yaml.safe_load(target.read_text())
    ours = {address: set(methods) for address, methods in described["paths"].items() if "sagas" in address}
    assert ours == {
        "/api/sagas/": {"get", "post"},
        "/api/sagas/{id}/": {"get"},
        "/api/sagas/{id}/compensate/": {"post"},
        "/api/sagas/{id}/retry/": {"post"},
    }


@pytest.mark.django_db
def test_schema__names_every_field_of_the_body(owner: Caller) -> None:
    schemas = owner.get(SCHEMA).json()["components"]["schemas"]
    body = owner.start()

    assert set(schemas["Saga"]["properties"]) == set(body)
    assert set(schemas["Step"]["properties"]) == set(body["steps"][0])
    assert set(schemas["Error"]["properties"]) == {"error"}


@pytest.mark.django_db
def test_schema__documents_errors_and_headers(owner: Caller) -> None:
    start = owner.get(SCHEMA).json()["paths"]["/api/sagas/"]["post"]

    assert set(start["responses"]) == {"200", "201", "400", "401", "403", "415", "422", "429", "503"}
    assert {parameter["name"] for parameter in start["parameters"]} == {"Idempotency-Key", "X-Request-ID"}
    assert start["operationId"] == "sagas_start"


@pytest.mark.django_db
@pytest.mark.urls("tests.api.test_schema")
def test_schema__is_of_this_api_alone_wherever_it_lives(owner: Caller) -> None:
    paths = owner.get("/backend/schema/").json()["paths"]

    assert set(paths) == {
        "/backend/sagas/",
        "/backend/sagas/{id}/",
        "/backend/sagas/{id}/compensate/",
        "/backend/sagas/{id}/retry/",
    }


@pytest.mark.django_db
def test_schema__not_for_strangers(stranger: Caller) -> None:
    assert stranger.get(SCHEMA).status_code == 401
