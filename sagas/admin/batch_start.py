"""Making a batch: a page that says what it would do to which sagas, and asks for a reason and a rate. Only its POST
makes anything, and it means exactly what the page has shown: the same filters, and no saga that came later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..definitions.ids import id_text, parse_id
from ..engine import batch as batches
from ..engine.batch.fates import UNWATCHED
from ..engine.batch.making import DEFAULT_RATE, MAX_RATE, MAX_REASON, MIN_RATE, Preview
from ..engine.batch.verdict import TRIAL
from ..engine.operate import MAX_ACTOR
from ..exceptions import BatchError, BatchNotAllowedError, PayloadError
from ..models import Batch, Saga
from . import words
from .bulk import counted, narrowing
from .cells import saga_link
from .filter_words import filter_words
from .forms import ReasonForm
from .paging import CAP
from .verbs import VERBS, Verb

if TYPE_CHECKING:
    from .batch import BatchAdmin


class BatchForm(ReasonForm):
    """Why, and how fast."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_REASON,
        help_text=_("Stays in the history of every saga, with your name and the batch's number."),
        error_messages={"required": _("Say why: the reason stays in the sagas' histories.")},
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
    )
    rate = forms.FloatField(
        label=_("Sagas per second"),
        min_value=MIN_RATE,
        max_value=MAX_RATE,
        initial=DEFAULT_RATE,
        help_text=_("Of all workers together. Less is kinder to what has just come back."),
        widget=forms.NumberInput(attrs={"step": "any", "class": "vIntegerField"}),
    )


def respond(model_admin: BatchAdmin, request: HttpRequest) -> HttpResponse:
    """Ask, or make the batch."""
    given = request.POST if request.method == "POST" else request.GET
    verb = VERBS.get(given.get("verb", ""))
    if verb is None or verb.name not in batches.VERBS:
        return _problem(model_admin, request, gettext("There is no such verb for many sagas."))
    if not model_admin.may_make(request, verb.name):
        raise PermissionDenied
    filters = _filters(request)
    try:
        seen = batches.preview(filters, _bound(given))
        batches.check_allowed(request.user, verb.name, seen.filters)
    except BatchNotAllowedError as exc:
        raise PermissionDenied from exc
    except BatchError as exc:
        return _problem(model_admin, request, exc.message, filters)
    if request.method != "POST":
        return _page(model_admin, request, verb, seen, BatchForm())
    return _make(model_admin, request, verb, seen)


def _filters(request: HttpRequest) -> dict[str, str]:
    """Those of the list; from the page's own form as it has shown them."""
    if request.method == "POST":
        return narrowing(QueryDict(request.POST.get("filters", "")))
    return narrowing(request.GET)


def _bound(given: QueryDict) -> UUID | None:
    text = given.get("upto", "")
    return parse_id(text) if text else None


def _make(model_admin: BatchAdmin, request: HttpRequest, verb: Verb, seen: Preview) -> HttpResponse:
    form = BatchForm(request.POST)
    if not form.is_valid():
        return _page(model_admin, request, verb, seen, form)
    try:
        batch = batches.create(
            verb.name,
            seen.filters,
            reason=form.cleaned_data["reason"],
            actor=request.user.get_username()[:MAX_ACTOR],
            user=request.user,
            rate=form.cleaned_data["rate"],
            upto=seen.upto,
        )
    except (BatchError, PayloadError) as exc:
        form.add_error(None, exc.message)
        return _page(model_admin, request, verb, seen, form)
    note = f"{verb.label} ({', '.join(f'{name}={value}' for name, value in batch.filters.items())}): {batch.reason}"
    LogEntry.objects.log_actions(request.user.pk, [batch], ADDITION, note)  # type: ignore[arg-type]
    text = gettext("Batch %(number)d is made. Workers begin with it within seconds.")
    messages.success(request, text % {"number": batch.pk})
    return HttpResponseRedirect(batch_url(batch))


def batch_url(batch: Batch) -> str:
    """The batch's page."""
    return reverse("admin:sagas_batch_change", args=[batch.pk])


def list_url(filters: dict[str, str]) -> str:
    """The sagas that these filters find."""
    query = urlencode(filters)
    return reverse("admin:sagas_saga_changelist") + (f"?{query}" if query else "")


def _page(model_admin: BatchAdmin, request: HttpRequest, verb: Verb, seen: Preview, form: BatchForm) -> HttpResponse:
    count = counted(min(seen.count, CAP), more=seen.count > CAP)
    return _response(
        model_admin,
        request,
        {
            "title": gettext("%(verb)s: all %(count)s sagas that match") % {"verb": verb.label, "count": count},
            "verb": verb,
            "form": form,
            "count": count,
            "any": bool(seen.count),
            "filters": filter_words(seen.filters, model_admin.admin_site),
            "sample": [_line(saga) for saga in seen.sample],
            "more": seen.count > len(seen.sample),
            "query": urlencode(seen.filters),
            "upto": id_text(seen.upto),
            "watched": verb.name not in UNWATCHED,
            "trial": TRIAL,
            "list_url": list_url(seen.filters),
        },
    )


def _line(saga: Saga) -> dict[str, Any]:
    return {
        "link": saga_link(saga),
        "state": words.state_badge(saga),
        "attention": words.hold_words(saga.attention) if saga.attention else saga.error_code,
    }


def _problem(
    model_admin: BatchAdmin, request: HttpRequest, text: str, filters: dict[str, str] | None = None
) -> HttpResponse:
    context = {"title": gettext("Nothing was done"), "problem": text, "list_url": list_url(filters or {})}
    return _response(model_admin, request, context, status=400)


def _response(
    model_admin: BatchAdmin, request: HttpRequest, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        **context,
    }
    return TemplateResponse(request, "admin/sagas/batch/start.html", context, status=status)
