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
    """The steps of a page of sagas, in one query, without their payloads: how far it is, and why it waits."""
    return Prefetch("steps", Step.objects.only(*_LIGHT).order_by())


_LIGHT = (
    "saga_id", "position", "name", "status", "action", "compensation", "queue", "hold", "waits", "due_at",
    "claim_worker", "claimed_at", "stale_worker", "error_code",
)  # fmt: skip


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
