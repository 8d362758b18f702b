"""The steps of a saga as its page shows them: where each stands, why it waits, what went in and came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from ..core.graph import ATTENTION, FAIL, RETRY, Graph, StepSpec
from ..core.states import Hold, StepStatus, Wait
from ..definitions.ids import id_text
from ..models import Saga, Step
from . import cells, words
from .payloads import PayloadView, step_payloads
from .step_verbs import StepVerb

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class StepView:
    """One step."""

    step: Step
    number: int
    badge: SafeString
    #: Why nothing can be undone; empty when there is a compensation.
    no_compensation: str
    #: The attempts of the action and of the compensation, with their budgets where they are known.
    attempts: list[str]
    #: What is special about it now: doubt, a hold, a wait, a worker.
    notes: list[SafeString | str]
    #: Name and time.
    times: list[tuple[str, SafeString | str]]
    payloads: list[PayloadView]
    #: What can be done to it now: the verb and its address.
    acts: list[tuple[StepVerb, str]]


def step_views(
    saga: Saga, steps: Sequence[Step], graph: Graph | None, verbs: Mapping[int, Sequence[StepVerb]]
) -> list[StepView]:
    """In the given order. Without a graph the policies are left out. `verbs`: what is possible, by position."""
    return [_view(saga, step, _spec(graph, step), verbs.get(step.position, ())) for step in steps]


def _spec(graph: Graph | None, step: Step) -> StepSpec | None:
    return graph.steps[step.position] if graph is not None and step.position < len(graph.steps) else None


def _view(saga: Saga, step: Step, spec: StepSpec | None, verbs: Sequence[StepVerb]) -> StepView:
    return StepView(
        step,
        number=step.position + 1,
        badge=words.status_badge(step),
        no_compensation=spec.no_compensation if spec else "",
        attempts=list(_attempts(step, spec)),
        notes=[*_waits(step, spec), *_notes(step), *_signs(step, spec)],
        times=[(name, cells.moment(at)) for name, at in _times(step) if at is not None],
        payloads=step_payloads(saga, step),
        acts=[(verb, reverse(f"admin:sagas_saga_{verb.name}")) for verb in verbs],
    )


def _attempts(step: Step, spec: StepSpec | None) -> Iterator[str]:
    most = spec.retry.max_attempts if spec else None
    if step.attempt:
        yield _count(step.attempt, step.tries, most)
    if step.undo_attempt:
        most = spec.undo_retry.max_attempts if spec else None
        yield gettext("undo: %(count)s") % {"count": _count(step.undo_attempt, step.undo_tries, most)}


def _count(attempt: int, spent: int, most: int | None) -> str:
    if not spent or most is None:
        return str(attempt)
    return gettext("%(attempt)d (%(spent)d of %(most)d failed)") % {
        "attempt": attempt,
        "spent": spent,
        "most": most,
    }


def _waits(step: Step, spec: StepSpec | None) -> Iterator[SafeString | str]:
    """For whom or what it waits, until when, and who has had their say."""
    if step.waits:
        yield _awaited(step, spec)
        if step.due_at is not None:
            text = gettext("until") if step.waits == Wait.TIMER else _IN_VAIN.get(spec.on_timeout if spec else FAIL, "")
            yield format_html("{} {}", text, cells.ago(step.due_at))
    elif step.hold == Hold.APPROVAL and spec is not None:
        people = gettext("undoing needs approval: %(count)d of %(needed)d")
        given = len(step.approved_by.splitlines())
        yield _by_approvers(people % {"count": given, "needed": spec.approve_undo}, spec)
    if step.approved_by:
        yield gettext("approved by %(names)s") % {"names": ", ".join(step.approved_by.splitlines())}
    if step.owner:
        yield gettext("looked after by %(name)s") % {"name": step.owner}


def _awaited(step: Step, spec: StepSpec | None) -> str:
    text = words.wait_words(step.waits)
    if step.waits == Wait.CHILD and step.child_id is not None:
        return f"{text} {id_text(step.child_id)}"
    if step.waits == Wait.SIGNAL and spec is not None:
        return f"{text} {spec.wait_for}"
    return _by_approvers(text, spec) if step.waits == Wait.APPROVAL and spec is not None else text


def _by_approvers(text: str, spec: StepSpec) -> str:
    return (
        gettext("%(what)s (by %(approvers)s)") % {"what": text, "approvers": spec.approvers} if spec.approvers else text
    )


#: What a wait in vain means.
_IN_VAIN: dict[str, StrOrPromise] = {
    FAIL: gettext_lazy("fails"),
    RETRY: gettext_lazy("is tried again"),
    ATTENTION: gettext_lazy("needs attention"),
}


def _notes(step: Step) -> Iterator[SafeString | str]:
    if step.hold and step.hold != step.waits:
        yield cells.badge("bad", words.hold_words(step.hold))
    if step.doubt:
        yield gettext("in doubt: it may have had an effect")
    if step.due_at is not None and not step.waits:
        due = gettext("due") if step.due_at <= timezone.now() else gettext("next attempt")
        yield format_html("{} {}", due, cells.ago(step.due_at))
    if step.claimed_at is not None:
        yield format_html("{} {}", gettext("taken by a worker"), cells.ago(step.claimed_at))
    if step.stale_worker is not None:
        yield gettext("a timed-out attempt still runs")
    if step.crashes:
        yield gettext("workers lost while running it: %(count)d") % {"count": step.crashes}
    if step.round > 1:
        yield gettext("round %(round)d") % {"round": step.round}


def _signs(step: Step, spec: StepSpec | None) -> Iterator[str]:
    """What the handler that runs now says of itself, and how often it must."""
    if step.current_progress is not None:
        yield gettext("progress %(percent)d %%") % {"percent": int(step.current_progress * 100)}
    if step.claim_token is None or spec is None:
        return
    undo = step.status == StepStatus.COMPENSATING
    limit = spec.undo_heartbeat_timeout if undo else spec.heartbeat_timeout
    if limit is not None:
        yield gettext("ended when it is silent for %(seconds)g s") % {"seconds": limit}


def _times(step: Step) -> Iterator[tuple[str, datetime | None]]:
    yield gettext("started"), step.started_at
    yield gettext("done"), step.executed_at
    yield gettext("undone"), step.compensated_at
