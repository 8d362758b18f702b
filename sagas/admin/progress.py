"""How far a saga is, in one line: steps done going forward, steps undone going back."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..core.states import EXECUTED, PASSED, SagaState, StepStatus
from ..models import Saga, Step

_BACKWARD = frozenset({SagaState.COMPENSATING, SagaState.COMPENSATED})
_UNDONE = frozenset({StepStatus.COMPENSATED, StepStatus.COMPENSATION_SKIPPED})
_TO_UNDO = EXECUTED | {StepStatus.RUNNING, StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED}


def light_steps() -> Prefetch[str]:
    """The steps of a page of sagas, in one query, without their payloads."""
    return Prefetch("steps", Step.objects.only("saga_id", "status", "action", "compensation").order_by())


def counts(saga: Saga, steps: Iterable[Step]) -> tuple[int, int]:
    """Steps behind it, of all in its direction. Going back only what has something to undo counts."""
    found = list(steps)
    if saga.state not in _BACKWARD:
        return sum(step.status in PASSED for step in found), len(found)
    undone = sum(step.status in _UNDONE for step in found)
    left = sum(step.status in _TO_UNDO and bool(step.compensation or step.is_child) for step in found)
    return undone, undone + left


def progress(saga: Saga, steps: Iterable[Step]) -> SafeString:
    """ "3/5", and "2/3 undone"."""
    done, total = counts(saga, steps)
    text = f"{done}/{total}"
    if saga.state in _BACKWARD and not total:
        text = gettext("nothing to undo")
    elif saga.state in _BACKWARD:
        text = gettext("%(counts)s undone") % {"counts": text}
    return format_html('<span class="saga-progress">{}</span>', text)
