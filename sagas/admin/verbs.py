"""What can be done to sagas, and what it would do: the engine's own `decide` is asked, nothing is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from ..core import triggers as t
from ..core.claims import is_undo
from ..core.decide import Decision, decide
from ..core.errors import PayloadError, SagaError
from ..core.plan import CompensationPlan, compensation_plan
from ..core.rows import SagaRow, StepRow
from ..core.states import SagaState
from ..engine import operate
from ..engine.children import check_parent
from ..engine.restart import restart, successor
from ..models import Saga
from ..store import get_store
from ..store.base import NewSaga
from . import forms, words
from .cells import saga_link
from .plan_tree import children_of
from .signalling import Taker, send, takers
from .told import told

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

logger = logging.getLogger(__name__)

#: What reading a row raises that no version of the engine has written.
ODD = (LookupError, TypeError, ValueError)
Rows = tuple[SagaRow, list[StepRow]]

#: How the engine begins a refusal; the page says it in its own words.


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing an operator can do to a saga."""

    name: str
    label: StrOrPromise
    #: What it does, in one sentence.
    meaning: StrOrPromise
    #: None for a signal: which one, the form says.
    trigger: type[t.OperatorTrigger] | None
    #: The engine's use case.
    act: Callable[..., Saga]
    #: "Compensate 3 sagas", and "3 sagas are being compensated"; lazy, by %(count)d.
    ask: Any
    tell: Any
    form: type[forms.ReasonForm] = forms.ReasonForm
    #: One saga at a time: there is no such action in the list.
    alone: bool = False
    #: A saga's page says why it is not possible; of the others it only has no button.
    explained: bool = False

    def asked(self, count: int) -> str:
        """As the button of a confirmation says it."""
        return str(self.ask % {"count": count})

    def told(self, count: int) -> str:
        """As the message after it says it."""
        return str(self.tell % {"count": count})


COMPENSATE = Verb(
    "compensate",
    _("Compensate"),
    _("Stops the saga and undoes what it has done, step by step in reverse order. It can not be taken back."),
    t.Compensate,
    operate.compensate,
    ngettext_lazy("Compensate %(count)d saga", "Compensate %(count)d sagas", "count"),
    ngettext_lazy("%(count)d saga is being compensated", "%(count)d sagas are being compensated", "count"),
    explained=True,
)
RETRY = Verb(
    "retry",
    _("Retry"),
    _("Runs what is stuck now, with a fresh budget of attempts."),
    t.Retry,
    operate.retry,
    ngettext_lazy("Retry %(count)d saga", "Retry %(count)d sagas", "count"),
    ngettext_lazy("%(count)d saga is being retried", "%(count)d sagas are being retried", "count"),
    explained=True,
)
CANCEL = Verb(
    "cancel",
    _("Cancel"),
    _("Undoes what the saga has done because it is not wanted any more. It can not be taken back."),
    t.Cancel,
    operate.cancel,
    ngettext_lazy("Cancel %(count)d saga", "Cancel %(count)d sagas", "count"),
    ngettext_lazy("%(count)d saga is cancelled", "%(count)d sagas are cancelled", "count"),
)
PAUSE = Verb(
    "pause",
    _("Pause"),
    _("Begins nothing more until somebody resumes it. What runs is finished and recorded."),
    t.Pause,
    operate.pause,
    ngettext_lazy("Pause %(count)d saga", "Pause %(count)d sagas", "count"),
    ngettext_lazy("%(count)d saga is paused", "%(count)d sagas are paused", "count"),
)
RESUME = Verb(
    "resume",
    _("Resume"),
    _("Goes on after a pause."),
    t.Resume,
    operate.resume,
    ngettext_lazy("Resume %(count)d saga", "Resume %(count)d sagas", "count"),
    ngettext_lazy("%(count)d saga goes on", "%(count)d sagas go on", "count"),
)
RUN_NOW = Verb(
    "run_now",
    _("Run now"),
    _("Waits no longer for the time of a next attempt or of a timer. Budgets stay as they are."),
    t.RunNow,
    operate.run_now,
    ngettext_lazy("Run %(count)d saga now", "Run %(count)d sagas now", "count"),
    ngettext_lazy("%(count)d saga waits no longer", "%(count)d sagas wait no longer", "count"),
)
RESTART = Verb(
    "restart",
    _("Restart"),
    _("Starts a new saga in the place of this one, by today's definition. This one stays as it is."),
    t.Restart,
    restart,
    ngettext_lazy("Restart %(count)d saga", "Restart %(count)d sagas", "count"),
    ngettext_lazy("%(count)d new saga is started", "%(count)d new sagas are started", "count"),
    form=forms.RestartForm,
    alone=True,
)
SIGNAL = Verb(
    "signal",
    _("Send a signal"),
    _("Tells the saga a fact that one of its steps waits for, or will: what you send becomes the step's output."),
    None,
    send,
    ngettext_lazy("Send the signal to %(count)d saga", "Send the signal to %(count)d sagas", "count"),
    ngettext_lazy("%(count)d saga has got the signal", "%(count)d sagas have got the signal", "count"),
    form=forms.SignalForm,
    alone=True,
)
VERBS = {verb.name: verb for verb in (COMPENSATE, CANCEL, RETRY, RUN_NOW, SIGNAL, PAUSE, RESUME, RESTART)}


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a verb would do to a saga as it is now."""

    saga: Saga
    revision: int = 0
    #: Why it is not possible; empty when it is.
    refusal: str = ""
    #: It is the user who may not.
    forbidden: bool = False
    #: What would be undone, if anything.
    plan: CompensationPlan | None = None
    #: When that is so; empty: in any case.
    plan_if: str = ""
    #: What runs again, in words.
    again: list[str] = field(default_factory=list)
    #: What else changes at once, in words.
    changes: list[str] = field(default_factory=list)
    #: What the step is to run with, as JSON.
    input: str = ""
    #: What is started, in words.
    starts: list[str] = field(default_factory=list)
    #: The signals that it takes.
    takes: list[Taker] = field(default_factory=list)
    #: The child sagas of its steps, by the step's name.
    children: Mapping[str, UUID] = field(default_factory=dict)

    @property
    def link(self) -> SafeString:
        """The saga, with the way to its page."""
        return saga_link(self.saga)

    @property
    def state(self) -> SafeString:
        """The saga's state."""
        return words.state_badge(self.saga)


def load(ids: Iterable[UUID]) -> dict[UUID, Rows]:
    """Rows of sagas as the engine sees them; those that it can not read are missing, and hide no page."""
    wanted = list(ids)
    try:
        return get_store().load(wanted)
    except (SagaError, *ODD):
        if len(wanted) < 2:
            return {}
        return {key: rows for one in wanted for key, rows in load([one]).items()}


def prospects(verb: Verb, sagas: Sequence[Saga]) -> list[Prospect]:
    """What a verb would do to each."""
    rows, now = load(saga.pk for saga in sagas), get_store().clock()
    return [prospect(verb, saga, rows.get(saga.pk), now) for saga in sagas]


def prospect(verb: Verb, saga: Saga, rows: Rows | None, now: datetime) -> Prospect:
    """What a verb would do to one saga."""
    return foresee(saga, rows, lambda row, steps: _prospect(verb, saga, row, steps, now))


def foresee(saga: Saga, rows: Rows | None, look: Callable[[SagaRow, list[StepRow]], Prospect]) -> Prospect:
    """What `look` sees; a saga that can not be read has nothing to look forward to."""
    if rows is not None:
        try:
            return replace(look(*rows), children=children_of(*rows))
        except ODD:
            logger.exception("saga %s can not be read", saga.ulid, extra={"action": "unreadable", "saga_id": saga.ulid})
    return Prospect(saga, refusal=gettext("the engine can not read this saga; see manage.py saga_check"))


def _prospect(verb: Verb, saga: Saga, row: SagaRow, steps: list[StepRow], now: datetime) -> Prospect:
    if verb.trigger is None:
        taken = list(takers(row, steps, now))
        return Prospect(saga, row.revision, takes=taken, refusal="" if taken else gettext("no step takes a signal now"))
    decision = ask(row, steps, verb.trigger(), now, parent=True)
    if isinstance(decision, str):
        return Prospect(saga, row.revision, refusal=decision)
    if verb is RESTART:
        return _successor(saga, row)
    if verb in (RETRY, RUN_NOW):
        return Prospect(saga, row.revision, again=_again(row, steps, decision))
    return Prospect(saga, row.revision, plan=rollback_plan(row, steps, decision))


def _successor(saga: Saga, row: SagaRow) -> Prospect:
    """What would be started in its place, with the context that it had."""
    try:
        new = successor(saga)
    except PayloadError as exc:  # another context may do
        return Prospect(saga, row.revision, starts=[told(exc.message)])
    except SagaError as exc:
        return Prospect(saga, row.revision, refusal=told(exc.message))
    return Prospect(saga, row.revision, starts=list(_starts(new)))


def _starts(new: NewSaga) -> Iterator[str]:
    yield gettext("%(name)s, version %(version)s") % {"name": new.name, "version": new.version}
    yield gettext("steps: %(names)s") % {"names": ", ".join(spec.name for spec in new.graph.steps)}
    if new.owner:
        yield gettext("owner: %(name)s") % {"name": new.owner}
    if new.lock_key:
        yield gettext("with the lock %(key)s") % {"key": new.lock_key}


def ask(
    row: SagaRow, steps: list[StepRow], trigger: t.OperatorTrigger, now: datetime, *, parent: bool = False
) -> Decision | str:
    """What the engine would decide, or why it would not. `parent`: of a child, its parent is asked too."""
    try:
        decision = decide(row, steps, trigger, now)
        if parent and row.parent is not None:
            check_parent(get_store(), row.id, trigger)
    except SagaError as exc:
        return told(exc.message)
    if not decision.moved:
        return told(decision.ignored) or gettext("there is nothing to do")
    return decision


def rollback_plan(row: SagaRow, steps: Sequence[StepRow], decision: Decision) -> CompensationPlan | None:
    """What is undone when a rollback begins with it, or goes on after it."""
    after = decision.saga.state
    if row.state is SagaState.COMPENSATING and after is SagaState.COMPENSATING:
        left = compensation_plan(decision.saga, decision.steps)
        return left if row.rewind_to is None else within(left, row, row.rewind_to)
    begins = row.state is not after and after in (SagaState.COMPENSATING, SagaState.COMPENSATED)
    return compensation_plan(row, steps) if begins and row.state is not SagaState.COMPENSATING else None


def within(plan: CompensationPlan, row: SagaRow, position: int) -> CompensationPlan:
    """Of a plan, what is about a step and all that depends on it."""
    names = {row.graph.steps[behind].name for behind in row.graph.behind(position)}
    undo = tuple(one for one in plan.undo if one.step in names)
    return replace(plan, undo=undo, keep=tuple(one for one in plan.keep if one.step in names))


def _again(row: SagaRow, before: Sequence[StepRow], decision: Decision) -> list[str]:
    return [_run_again(row, before[position], decision.steps[position]) for position in sorted(decision.changed)]


def _run_again(row: SagaRow, before: StepRow, after: StepRow) -> str:
    spec = row.graph.steps[after.position]
    handler = (spec.compensation if is_undo(after) else spec.does) or gettext("no action")
    if before.status is not after.status:
        change = {"before": words.status_words(before.status), "after": words.status_words(after.status)}
        what = gettext("%(before)s → %(after)s") % change
    else:
        what = gettext("waits no longer")
    fresh = gettext("; with new idempotency keys") if after.round > before.round else ""
    kept = gettext("; in doubt: with the same idempotency key") if after.doubt and not is_undo(after) else ""
    return f"{spec.name} ({handler}): {what}{fresh or kept}"
