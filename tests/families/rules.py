"""Rules of the engine that can be switched off, one at a time, and the law of `laws.py` that goes red without each.

`table()` is the one in docs/claim-model.md; `python -m tests.docs.generated` writes it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace

import pytest

from sagas.core import attempts, children, claims, readiness, settle, waiting
from sagas.core import decide as decide_module
from sagas.core import triggers as t
from sagas.core.draft import Draft
from sagas.core.graph import Graph
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import EXECUTED, SagaState, StepStatus

#: Laws that may go red, and what they say.
LAWS = {
    "I1": "who lives is looked after: nothing is left but what somebody must look at, and every family ends",
    "I5": "nothing is done before what it depends on",
    "I7": "nothing is undone before what depended on it",
    "I9": "the participants' books agree with the rows: done once, or undone",
    "I10": 'doubt is never "no"',
    "I11": "one claim per token, and no two live threads of one step",
    "I19": "nothing without the lock",
    "I20": "a step that is a child saga is what its child is",
    "limit": "no more attempts of an action at once than it may have",
    "condition": "what is passed over is not done",
    "deadline": "a deadline that has passed is acted on by whoever looks",
    "time": "a wait that is over is ended by whoever looks",
    "once": "the same again, and what contradicts it, changes nothing",
}
SwitchOff = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Rule:
    """One rule of the engine."""

    name: str
    #: What the engine sees to.
    sentence: str
    #: How the message begins of the law that goes red without it.
    law: str
    #: With which its schedule comes early.
    seed: int
    switch_off: SwitchOff


RULES: list[Rule] = []


def rule(sentence: str, law: str, seed: int = 1) -> Callable[[SwitchOff], SwitchOff]:
    """The decorated function `without_…` takes the rule away in place; its docstring says what the engine does then."""

    def add(switch_off: SwitchOff) -> SwitchOff:
        RULES.append(Rule(switch_off.__name__.removeprefix("without_"), sentence, law, seed, switch_off))
        return switch_off

    return add


# -- attempts -------------------------------------------------------------------------------------------------------


@rule("A result counts under the current token only", "once", seed=9)
def without_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any result counts while somebody holds a claim."""

    def current(draft: Draft, trigger: t.AttemptTrigger) -> bool:
        return draft.steps[trigger.position].claimed

    for module in (attempts, waiting, children):
        monkeypatch.setattr(module, "current", current)


@rule("A retry and an undo wait until a timed-out thread has ended", "I11", seed=5)
def without_stale_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the thread of an attempt that has timed out."""
    blocked = readiness.blocked

    def gone(step: StepRow, now: datetime) -> bool:
        return blocked(replace(step, stale_worker=None), now)

    monkeypatch.setattr(decide_module, "blocked", gone)


@rule('Doubt is sticky: a later rejection is no "no"', "I10", seed=86)
def without_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rejection counts, whatever an attempt before it has left open."""

    def rejected(draft: Draft, trigger: t.Rejected) -> str:
        if attempts.current(draft, trigger) and draft.steps[trigger.position].status is StepStatus.RUNNING:
            draft.step(trigger.position).doubt = False
        return attempts.rejected(draft, trigger)

    monkeypatch.setitem(decide_module._HANDLERS, t.Rejected, rejected)


@rule("An action with a limit waits until it finds room", "limit", seed=3)
def without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of actions are not looked at."""

    def claim(graph: Graph, ready: Sequence[StepRow], offer: claims.Offer, budget: claims.Budget) -> object:
        return claims.claim(graph, ready, offer, replace(budget, rooms={}))

    monkeypatch.setattr(decide_module, "claim", claim)


# -- order ----------------------------------------------------------------------------------------------------------


@rule("Undo in reverse order", "I7")
def without_reverse_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is to be undone is undone at once."""

    def at_once(saga: SagaRow, steps: Sequence[StepRow]) -> list[int]:
        if saga.rewind_to is not None:
            return backward(saga, steps)
        due = (*EXECUTED, StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED)
        return [
            step.position for step in steps if step.status in due and readiness.compensable(saga.graph, step.position)
        ]

    backward = readiness._open_backward
    monkeypatch.setattr(readiness, "_open_backward", at_once)


@rule("What joins a list waits for its elements", "I5")
def without_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows a list does not wait for its elements."""
    opened_out = Graph.opened_out

    def loose(graph: Graph, position: int, count: int) -> Graph:
        found = opened_out(graph, position, count)
        steps = list(found.steps)
        steps[position] = replace(steps[position], depends_on=graph.steps[position].depends_on)
        return Graph(steps, found.policy)

    monkeypatch.setattr(Graph, "opened_out", loose)


@rule("What depends on a step whose condition does not hold goes on without it", "I1", seed=2)
def without_passing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for that step for ever."""
    monkeypatch.setattr(readiness, "PASSED", frozenset({StepStatus.COMPLETED}))


@rule("A step whose condition does not hold is not done", "condition", seed=2)
def without_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is due again, as if the condition held."""

    def passed_over(draft: Draft, trigger: t.PassedOver) -> str:
        return waiting.checked(draft, t.Checked(trigger.position, trigger.worker, trigger.token))

    monkeypatch.setitem(decide_module._HANDLERS, t.PassedOver, passed_over)


@rule("A saga runs nothing without its lock", "I19")
def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A saga that waits for its lock begins all the same."""
    monkeypatch.setattr(readiness, "Lock", SimpleNamespace(WAITS="nobody waits"))


# -- rounds ---------------------------------------------------------------------------------------------------------


@rule("After a partial rollback, what was given back beside it goes on, too", "I1", seed=10)
def without_reopening_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given back beside a partial rollback stays cancelled."""
    reopen = settle._reopen

    def only_the_scope(draft: Draft, scope: frozenset[int]) -> None:
        kept = [step.copy() for step in draft.steps]
        reopen(draft, scope)
        for position in frozenset(range(len(kept))) - scope:
            draft.steps[position] = kept[position]

    monkeypatch.setattr(settle, "_reopen", only_the_scope)


@rule("Each round has keys of its own", "I9", seed=3)
def without_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is opened anew keeps the keys of the round that was undone."""

    def begin_round(draft: Draft, position: int) -> None:
        begin(draft, position)
        draft.steps[position].round -= 1

    begin = settle.begin_round
    monkeypatch.setattr(settle, "begin_round", begin_round)


# -- children -------------------------------------------------------------------------------------------------------


@rule("A child's end is bound to the round of its step", "I20", seed=4)
def without_childs_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the child of a round before is taken for that of today's."""

    def ended(draft: Draft, trigger: t.ChildEnded) -> str:
        step = draft.steps[draft.saga.graph.names[trigger.step]]
        return children.child_ended(draft, replace(trigger, round=step.round))

    monkeypatch.setitem(decide_module._HANDLERS, t.ChildEnded, ended)


@rule("A child that failed and was not undone leaves its step unknown", "I20", seed=3)
def without_childs_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that failed is taken for one that was undone."""

    def ended(draft: Draft, trigger: t.ChildEnded) -> str:
        undone = trigger.state is SagaState.FAILED
        return children.child_ended(draft, replace(trigger, state=SagaState.COMPENSATED) if undone else trigger)

    monkeypatch.setitem(decide_module._HANDLERS, t.ChildEnded, ended)


# -- times and answers ----------------------------------------------------------------------------------------------


@rule("A deadline that has passed is acted on by whoever looks", "deadline")
def without_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody minds a deadline."""
    monkeypatch.setattr(waiting, "_deadline", lambda draft: None)


@rule("A wait that is over is ended by whoever looks", "time")
def without_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait is ever over."""
    monkeypatch.setattr(waiting, "_steps", lambda draft: None)


@rule("An answer counts once, and what contradicts it does not", "once")
def without_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer counts again, or one that contradicts it does."""

    def answer(draft: Draft, trigger: t.Answer) -> str:
        step = draft.steps[trigger.position]
        if trigger.round != step.round:
            return "the step has been opened anew since"
        waiting._take(draft, trigger, undo=trigger.undo)
        return ""

    monkeypatch.setitem(decide_module._HANDLERS, t.Answer, answer)


def table() -> str:
    """For the docs: each rule, what the engine does without it, and what goes red."""
    rows = ["| rule switched off | without it | the law that goes red |", "|---|---|---|"]
    for one in RULES:
        without = (one.switch_off.__doc__ or "").strip().rstrip(".")
        rows.append(f"| {one.sentence} (`{one.name}`) | {without} | {one.law}: {LAWS[one.law]} |")
    return "\n".join(rows)
