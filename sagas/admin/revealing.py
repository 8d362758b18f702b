"""Showing a person what is hidden in a saga's payloads: asked for with a reason, recorded first, shown in that answer
only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext

from ..engine.operate import MAX_ACTOR
from ..engine.reveal import MAX_NAMED, hidden_places, reveal
from ..models import Saga
from .cells import saga_url
from .confirmation import Wanted
from .forms import ReasonForm
from .payloads import open_payloads

if TYPE_CHECKING:
    from .saga import SagaAdmin


def respond(model_admin: SagaAdmin, request: HttpRequest) -> HttpResponse:
    """A POST asks for the reason, or shows. Anything else leads to the list: nothing is shown on a GET."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:sagas_saga_changelist"))
    wanted = Wanted.read(request.POST)
    saga = model_admin.get_queryset(request).filter(pk=next(iter(wanted.sagas))).first()
    if saga is None:
        return HttpResponseRedirect(reverse("admin:sagas_saga_changelist"))
    if not model_admin.has_reveal_permission(request, saga):
        raise PermissionDenied
    form = ReasonForm(request.POST) if "confirmed" in request.POST else ReasonForm()
    context: dict[str, Any] = {
        "saga": saga,
        "form": form,
        "way_back": saga_url(saga),
    }
    if form.is_valid():
        _record(request, saga, form.cleaned_data["reason"])
        return _page(model_admin, request, {**context, "open": list(open_payloads(saga))})
    places = hidden_places(saga, saga.steps.all())
    context |= {"open": None, "places": places[:MAX_NAMED], "more": max(len(places) - MAX_NAMED, 0)}
    return _page(model_admin, request, {**context, "item": f"{saga.ulid}:{saga.revision}"})


def _record(request: HttpRequest, saga: Saga, reason: str) -> None:
    """In the saga's history, and in the admin's log."""
    reveal(saga, reason=reason, actor=request.user.get_username()[:MAX_ACTOR])
    note = f"{gettext('Show what is hidden')}: {reason}"
    LogEntry.objects.log_actions(request.user.pk, [saga], CHANGE, note)  # type: ignore[arg-type]


def _page(model_admin: SagaAdmin, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    whole = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("Show what is hidden"),
        "opts": model_admin.opts,
        "media": model_admin.media,
        **context,
    }
    response = TemplateResponse(request, "admin/sagas/saga/reveal.html", whole)
    response["Cache-Control"] = "no-store, private"
    return response
