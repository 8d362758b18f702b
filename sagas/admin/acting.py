"""Acting: a POST asks for the confirmation, its POST acts with one engine call per saga.

Nothing happens on a GET. A confirmation carries the revision of every saga it showed: one that moved since is
left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext

from ..core.errors import PayloadError, SagaError, SagaMovedError
from ..core.states import StepStatus
from ..definitions.sensitive import shown
from ..engine.may import may
from ..engine.operate import MAX_ACTOR
from ..models import Saga
from ..store import get_store
from . import cells
from .confirmation import MAX_SAGAS, Confirmation, Wanted
from .forms import ReasonForm
from .report import Outcome, log, tell
from .step_verbs import ASSIGN, RETRY_WITH, Aim, StepVerb, step_prospect
from .told import told
from .verbs import RESTART, SIGNAL, Prospect, Verb, load, prospects

if TYPE_CHECKING:
    from .saga import SagaAdmin


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked for, and what it would do to the sagas as they are now."""

    verb: Verb | Aim
    seen: Sequence[Prospect]
    #: What the form begins with.
    initial: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_debt(self) -> bool:
        """Whether the step is tried again at a time."""
        return "next_try" in self.initial

    def form(self, data: QueryDict | None = None) -> ReasonForm:
        """What is typed into the confirmation."""
        known: dict[str, Any] = {"data": data} if data is not None else {"initial": dict(self.initial)}
        if self.verb is SIGNAL:
            known["takers"] = [taker for one in self.seen for taker in one.takes]
        verb = self.verb.verb if isinstance(self.verb, Aim) else self.verb
        if verb is ASSIGN:
            known["is_debt"] = self.is_debt
        return verb.form(**known)


def respond(model_admin: SagaAdmin, request: HttpRequest, verb: Verb) -> HttpResponse:
    """A POST asks for the confirmation, or confirms. Anything else leads to the list."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:sagas_saga_changelist"))
    wanted = Wanted.read(request.POST)
    if verb.alone and len(wanted.sagas) != 1:
        raise BadRequest("expected one field saga=<ULID>:<revision>")

    def look() -> Look:
        found = model_admin.get_queryset(request).filter(pk__in=wanted.sagas)
        sagas = list(found if verb.alone else model_admin.for_list(found))
        initial = {"context": cells.whole(shown(sagas[0].context, sagas[0].name))} if verb is RESTART and sagas else {}
        return Look(verb, _permitted(request, verb, prospects(verb, sagas), wanted), initial)

    return _respond(model_admin, request, wanted, look, alone=verb.alone)


def respond_for_step(model_admin: SagaAdmin, request: HttpRequest, verb: StepVerb) -> HttpResponse:
    """The same for one step of one saga."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:sagas_saga_changelist"))
    wanted = Wanted.read(request.POST)
    if wanted.step is None or len(wanted.sagas) != 1:
        raise BadRequest("expected one field saga=<ULID>:<revision>, and the step's position as step=<number>")
    aimed = Aim(verb, wanted.step, request.user)

    def look() -> Look:
        saga = model_admin.get_queryset(request).filter(pk__in=wanted.sagas).first()
        rows = None if saga is None else load([saga.pk]).get(saga.pk)
        aim = aimed.named(rows)
        seen = [] if saga is None else [_with_input(aim, step_prospect(aim, saga, rows, get_store().clock()))]
        return Look(aim, _permitted(request, verb, seen, wanted), _initial(aim, saga))

    return _respond(model_admin, request, wanted, look, alone=True)


def _permitted(request: HttpRequest, verb: Verb | StepVerb, seen: Sequence[Prospect], wanted: Wanted) -> list[Prospect]:
    """Refuse what the user may not do to the sagas of that definition; all alone, with the answer 403."""
    found = [_if_permitted(request, verb, one) for one in seen]
    if len(wanted.sagas) == 1 and any(one.forbidden for one in found):
        raise PermissionDenied
    return found


def _if_permitted(request: HttpRequest, verb: Verb | StepVerb, one: Prospect) -> Prospect:
    if may(request.user, verb.name, one.saga.name):
        return one
    text = gettext("you may not do this to sagas %(name)s; somebody who may is needed")
    return Prospect(one.saga, one.revision, refusal=text % {"name": one.saga.name}, forbidden=True)


def _with_input(aim: Aim, one: Prospect) -> Prospect:
    """Who approves must see of what."""
    step = one.saga.steps.filter(position=aim.position).first() if aim.verb.approval else None
    if step is None or step.input is None:
        return one
    return replace(one, input=cells.pretty(shown(step.input, one.saga.name, step.action)))


def _initial(aim: Aim, saga: Saga | None) -> dict[str, Any]:
    """What the step has now, to be changed."""
    step = None if saga is None else saga.steps.filter(position=aim.position).first()
    if saga is None or step is None:
        return {}
    if aim.verb is RETRY_WITH:
        return {"input": cells.whole(shown(step.input or {}, saga.name, step.action))}
    if aim.verb is not ASSIGN:
        return {}
    debt = {"next_try": step.due_at} if step.status == StepStatus.COMPENSATION_FAILED else {}
    return {"owner": step.owner, **debt}


def _respond(
    model_admin: SagaAdmin,
    request: HttpRequest,
    wanted: Wanted,
    look: Callable[[], Look],
    *,
    alone: bool,
) -> HttpResponse:
    found = look()
    verb, seen = found.verb, found.seen
    form = found.form(request.POST if "confirmed" in request.POST else None)
    if not form.is_valid():
        return Confirmation(verb, wanted, seen, form).response(model_admin, request)
    typed = dict(form.cleaned_data)
    reason = typed.pop("reason")
    outcome = act(verb, seen, wanted, reason=reason, actor=request.user.get_username()[:MAX_ACTOR], **typed)
    if alone and outcome.unusable:
        form.add_error(form.payload_field, outcome.unusable)
        return Confirmation(verb, wanted, seen, form).response(model_admin, request)
    log(request, verb, outcome, reason)
    tell(request, verb, outcome)
    if alone and outcome.moved:
        # What was typed is not lost: the page is shown once more, of the saga as it is now.
        return Confirmation(verb, wanted, look().seen, form).response(model_admin, request)
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
    seen = [_if_permitted(request, verb, one) for one in prospects(verb, sagas)]
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
        changed = verb.act(saga, **options)
    except SagaMovedError:
        outcome.moved.append(saga)
    except PayloadError as exc:
        outcome.unusable = told(exc.message)
        outcome.refused.append((saga, outcome.unusable))
    except SagaError as exc:
        outcome.refused.append((saga, told(exc.message)))
    else:
        outcome.done.append(saga)
        if changed.pk != saga.pk:
            outcome.started.append(changed)
