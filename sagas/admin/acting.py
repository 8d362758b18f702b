"""Acting: a POST asks for the confirmation, its POST acts with one engine call per saga.

Nothing happens on a GET. A confirmation carries the revision of every saga it showed: one that moved since is
left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext

from ..core.errors import SagaError, SagaMovedError
from ..engine.operate import MAX_ACTOR
from ..models import Saga
from ..store import get_store
from . import cells
from .confirmation import MAX_SAGAS, Confirmation, Wanted
from .forms import ReasonForm
from .report import Outcome, log, tell
from .step_verbs import ASSIGN, RETRY_WITH, Aim, StepVerb, step_prospect
from .verbs import Prospect, Verb, load, prospects

if TYPE_CHECKING:
    from .saga import SagaAdmin


def respond(model_admin: SagaAdmin, request: HttpRequest, verb: Verb) -> HttpResponse:
    """A POST asks for the confirmation, or confirms. Anything else leads to the list."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:sagas_saga_changelist"))
    wanted = Wanted.read(request.POST)
    form = ReasonForm(request.POST if "confirmed" in request.POST else None)
    sagas = model_admin.for_list(model_admin.get_queryset(request).filter(pk__in=wanted.sagas))
    return _respond(model_admin, request, verb, wanted, prospects(verb, list(sagas)), form)


def respond_for_step(model_admin: SagaAdmin, request: HttpRequest, verb: StepVerb) -> HttpResponse:
    """The same for one step of one saga."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:sagas_saga_changelist"))
    wanted = Wanted.read(request.POST)
    if wanted.step is None or len(wanted.sagas) != 1:
        raise BadRequest("expected one field saga=<ULID>:<revision>, and the step's position as step=<number>")
    saga = model_admin.get_queryset(request).filter(pk__in=wanted.sagas).first()
    rows = None if saga is None else load([saga.pk]).get(saga.pk)
    aim = Aim(verb, wanted.step, request.user).named(rows)
    seen = [] if saga is None else [_with_input(aim, step_prospect(aim, saga, rows, get_store().clock()))]
    confirmed = "confirmed" in request.POST
    form = verb.form(request.POST) if confirmed else verb.form(initial=_initial(aim, saga))
    return _respond(model_admin, request, aim, wanted, seen, form)


def _with_input(aim: Aim, one: Prospect) -> Prospect:
    """Who approves must see of what."""
    step = one.saga.steps.filter(position=aim.position).first() if aim.verb.approval else None
    return one if step is None or step.input is None else replace(one, input=cells.pretty(step.input))


def _initial(aim: Aim, saga: Saga | None) -> dict[str, Any]:
    """What the step has now, to be changed."""
    step = None if saga is None else saga.steps.filter(position=aim.position).first()
    if step is None:
        return {}
    if aim.verb is RETRY_WITH:
        return {"input": cells.whole(step.input or {})}
    return {"owner": step.owner, "next_try": step.due_at} if aim.verb is ASSIGN else {}


def _respond(
    model_admin: SagaAdmin,
    request: HttpRequest,
    verb: Verb | Aim,
    wanted: Wanted,
    seen: Sequence[Prospect],
    form: ReasonForm,
) -> HttpResponse:
    if not form.is_valid():
        return Confirmation(verb, wanted, seen, form).response(model_admin, request)
    typed = dict(form.cleaned_data)
    reason = typed.pop("reason")
    outcome = act(verb, seen, wanted, reason=reason, actor=request.user.get_username()[:MAX_ACTOR], **typed)
    log(request, verb, outcome, reason)
    tell(request, verb, outcome)
    return HttpResponseRedirect(wanted.way_back())


def ask_for_selected(
    model_admin: SagaAdmin, request: HttpRequest, verb: Verb, queryset: QuerySet[Saga]
) -> HttpResponse | None:
    """The confirmation for what was selected in the list; None (back to the list) when it is too much."""
    sagas = list(queryset[: MAX_SAGAS + 1])
    if len(sagas) > MAX_SAGAS:
        text = gettext("Select at most %(count)d sagas at a time. Nothing was changed.") % {"count": MAX_SAGAS}
        messages.error(request, text)
        return None
    seen = prospects(verb, sagas)
    wanted = Wanted({one.saga.pk: one.revision for one in seen}, request.GET.urlencode())
    return Confirmation(verb, wanted, seen, ReasonForm()).response(model_admin, request)


def act(verb: Verb | Aim, seen: Sequence[Prospect], wanted: Wanted, **options: Any) -> Outcome:
    """Do it to each saga that is still as it was when the operator looked."""
    outcome = Outcome(gone=len(wanted.sagas) - len(seen))
    for one in seen:
        expected = wanted.sagas[one.saga.pk]
        if one.revision != expected:
            outcome.moved.append(one.saga)
        elif one.refusal:
            outcome.refused.append((one.saga, one.refusal))
        else:
            _act_on(verb, one.saga, outcome, expected_revision=expected, **options)
    return outcome


def _act_on(verb: Verb | Aim, saga: Saga, outcome: Outcome, **options: Any) -> None:
    try:
        verb.act(saga, **options)
    except SagaMovedError:
        outcome.moved.append(saga)
    except SagaError as exc:
        outcome.refused.append((saga, exc.message))
    else:
        outcome.done.append(saga)
