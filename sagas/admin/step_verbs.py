"""What can be done to one step of a saga, and what it would do. As with sagas, the engine's `decide` is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..core import triggers as t
from ..core.decide import Decision
from ..core.plan import CompensationPlan, compensation_plan
from ..core.rows import SagaRow, StepRow
from ..core.states import SagaState
from ..engine import steer
from ..models import Saga
from . import forms
from .changes import sentences
from .verbs import ODD, Prospect, Rows, ask, foresee, rollback_plan, within

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class StepVerb:
    """One thing an operator can do to a step."""

    name: str
    label: StrOrPromise
    #: What it does, in one sentence.
    meaning: StrOrPromise
    trigger: type[t.StepTrigger]
    #: The engine's use case.
    act: Callable[..., Saga]
    #: "Skip %(step)s", and "step %(step)s is skipped".
    ask: StrOrPromise
    tell: StrOrPromise
    form: type[forms.ReasonForm] = forms.ReasonForm
    #: A decision that only the step's `approvers` may take.
    approval: bool = False


RETRY_WITH = StepVerb(
    "retry_with",
    _("Run with input"),
    _("Runs the step with another input, under a new idempotency key."),
    t.Edit,
    steer.edit,
    _("Run %(step)s with this input"),
    _("step %(step)s has another input"),
    forms.RetryWithForm,
)
SKIP = StepVerb(
    "skip",
    _("Skip"),
    _(
        "Goes on without the step. What may have happened counts as done, and a rollback undoes it. While the saga is "
        "rolled back: leaves the step as it is."
    ),
    t.Skip,
    steer.skip,
    _("Skip %(step)s"),
    _("step %(step)s is skipped"),
    forms.SkipForm,
)
APPROVE = StepVerb(
    "approve",
    _("Approve"),
    _("Lets the step run, or be undone, as it is shown here."),
    t.Approve,
    steer.approve,
    _("Approve %(step)s"),
    _("step %(step)s is approved"),
    approval=True,
)
DENY = StepVerb(
    "deny",
    _("Deny"),
    _("Does not let the step run: it fails, and what was done before it is undone."),
    t.Deny,
    steer.deny,
    _("Deny %(step)s"),
    _("step %(step)s is denied"),
    approval=True,
)
RESOLVE = StepVerb(
    "resolve",
    _("Resolve"),
    _("Records what you have found out or done by hand. The reason is kept as evidence."),
    t.Resolve,
    steer.resolve,
    _("Resolve %(step)s"),
    _("step %(step)s is resolved"),
    forms.ResolveForm,
)
ROLL_BACK_TO = StepVerb(
    "roll_back_to",
    _("Roll back to here"),
    _("Undoes the step and all that depends on it, then goes forward again from there, under new idempotency keys."),
    t.Rewind,
    steer.roll_back_to,
    _("Roll back to %(step)s"),
    _("the saga goes back to %(step)s"),
)
ASSIGN = StepVerb(
    "assign",
    _("Assign"),
    _("Says who looks after what a person is asked for; of a debt also when its compensation is tried next."),
    t.Assign,
    steer.assign,
    _("Assign %(step)s"),
    _("%(step)s is assigned"),
    forms.AssignForm,
)
STEP_VERBS = {verb.name: verb for verb in (APPROVE, DENY, RETRY_WITH, SKIP, RESOLVE, ASSIGN, ROLL_BACK_TO)}


@dataclass(frozen=True, slots=True)
class Aim:
    """A verb and the step that is meant, in one person's name."""

    verb: StepVerb
    position: int
    user: Any
    #: The step's name; empty where there is no such step.
    step: str = ""

    @property
    def name(self) -> str:
        """The verb's."""
        return self.verb.name

    @property
    def label(self) -> str:
        """With the step, for the admin's log."""
        return f"{self.verb.label} ({self.step})"

    @property
    def meaning(self) -> StrOrPromise:
        """The verb's."""
        return self.verb.meaning

    def asked(self, count: int) -> str:
        """As the button of a confirmation says it."""
        return str(self.verb.ask % {"step": self.step})

    def told(self, count: int) -> str:
        """As the message after it says it."""
        return str(self.verb.tell % {"step": self.step})

    def act(self, saga: Saga, **options: Any) -> Saga:
        """Ask the engine."""
        if self.verb.approval:
            options["user"] = self.user
        return self.verb.act(saga, self.step, **options)

    def named(self, rows: Rows | None) -> Aim:
        """With the step's name, if the saga has such a step."""
        steps = rows[0].graph.steps if rows else ()
        return replace(self, step=steps[self.position].name) if self.position < len(steps) else self


def step_prospect(aim: Aim, saga: Saga, rows: Rows | None, now: datetime) -> Prospect:
    """What it would do."""
    return foresee(saga, rows, lambda row, steps: _prospect(aim, saga, row, steps, now))


def _prospect(aim: Aim, saga: Saga, row: SagaRow, steps: list[StepRow], now: datetime) -> Prospect:
    decision = ask(row, steps, _trigger(aim), now, parent=True)
    if isinstance(decision, str):
        return Prospect(saga, row.revision, refusal=decision)
    if not _is_approver(aim, row):
        wanted = row.graph.steps[aim.position].approvers
        text = gettext("somebody else must approve: with the permission, or in the group, %(wanted)s")
        return Prospect(saga, row.revision, refusal=text % {"wanted": wanted})
    if aim.verb is ASSIGN:
        return Prospect(saga, row.revision)
    if aim.verb is ROLL_BACK_TO:
        plan = within(compensation_plan(row, steps), row, aim.position)
        return Prospect(saga, row.revision, plan=plan)
    never = _plan_if_never(aim, row, steps, now) if aim.verb is RESOLVE else None
    if never is not None:
        text = gettext("If it never happened, the saga is rolled back.")
        return Prospect(saga, row.revision, plan=never, plan_if=text)
    changes = [] if aim.verb is RESOLVE else _changes(row, decision)
    return Prospect(saga, row.revision, plan=rollback_plan(row, steps, decision), changes=changes)


def _changes(row: SagaRow, decision: Decision) -> list[str]:
    names = [spec.name for spec in row.graph.steps]
    return sentences(decision.entry.data, names) if decision.entry else []


def _trigger(aim: Aim, **more: Any) -> t.StepTrigger:
    return aim.verb.trigger(actor=str(aim.user.get_username()), position=aim.position, **more)


def _is_approver(aim: Aim, row: SagaRow) -> bool:
    return not aim.verb.approval or steer.may_approve(row.graph.steps[aim.position], aim.user)


def _plan_if_never(aim: Aim, row: SagaRow, steps: list[StepRow], now: datetime) -> CompensationPlan | None:
    """What is undone when the step turns out not to have happened, where that begins a rollback."""
    never = ask(row, steps, _trigger(aim, done=False), now)
    if isinstance(never, str) or row.state is not SagaState.STARTED or never.saga.state is SagaState.STARTED:
        return None
    return compensation_plan(never.saga, never.steps)


def possible(
    verbs: Sequence[StepVerb], user: Any, rows: Rows | None, now: datetime, positions: Iterable[int]
) -> dict[int, list[StepVerb]]:
    """For each of these steps, the verbs that the engine would not refuse now."""
    if rows is None or not verbs:
        return {}
    try:
        return {position: list(_for_step(verbs, user, rows, position, now)) for position in positions}
    except ODD:
        return {}


def _for_step(verbs: Iterable[StepVerb], user: Any, rows: Rows, position: int, now: datetime) -> Iterable[StepVerb]:
    row, steps = rows
    for verb in verbs:
        aim = Aim(verb, position, user)
        if not isinstance(ask(row, steps, _trigger(aim), now), str) and _is_approver(aim, row):
            yield verb
