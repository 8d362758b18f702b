"""What operators (and programs in their name) ask for: one use case each, behind Python, REST and the admin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from ..conf import app_settings
from ..core.claims import is_undo
from ..core.errors import PayloadError
from ..core.plan import CompensationPlan
from ..core.plan import compensation_plan as work_out_plan
from ..core.readiness import open_steps
from ..core.triggers import Compensate, OperatorTrigger, Retry
from ..crash import crash_point
from ..definitions.ids import id_text
from ..exceptions import MAX_MESSAGE, SagaNotFoundError
from ..models import Saga, Step
from ..store import get_store
from ..store.base import Result, Submission, Verdict
from .notify import hint

if TYPE_CHECKING:
    from ..core.rows import SagaRow, StepRow

MAX_ACTOR = 150
#: Half of a surrogate pair: no database stores it.
_HALF = re.compile("[\ud800-\udfff]")


def compensate(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.compensate`."""
    return _operate(saga, Compensate(_actor(actor), _reason(reason), expected_revision))


def retry(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.retry`."""
    return _operate(saga, Retry(_actor(actor), _reason(reason), expected_revision))


def _actor(actor: str) -> str:
    return _clean(actor, what="actor", limit=MAX_ACTOR)


def _reason(reason: str) -> str:
    return _clean(reason, what="reason", limit=MAX_MESSAGE)


def _clean(text: str, *, what: str, limit: int) -> str:
    if not isinstance(text, str) or "\x00" in text or _HALF.search(text) or len(text) > limit:
        raise PayloadError(f"{what}: expected at most {limit} characters of text, got {text!r:.80}")
    return text


def _operate(saga: Saga | UUID, trigger: Compensate | Retry) -> Saga:
    store = get_store()
    key: UUID = saga.pk if isinstance(saga, Saga) else saga
    crash_point("operate_before_commit")
    result = store.apply([Submission(key, trigger)], wait=True)[0]
    if result.verdict is Verdict.MISSING:
        raise _not_found(key)
    if result.error is not None:
        raise result.error
    store.after_commit(lambda: _announce(key, result, trigger))
    found: Saga = Saga.objects.using(app_settings().DATABASE).get(pk=key)
    return found


def _announce(key: UUID, result: Result, trigger: OperatorTrigger) -> None:
    crash_point("operate_after_commit")
    if result.unclaimed:
        hint([key], undo=is_undo(result.steps[result.unclaimed[0]]))


def _not_found(key: UUID) -> SagaNotFoundError:
    return SagaNotFoundError(f"there is no saga {id_text(key)}", saga_id=key)


def _load(key: UUID) -> tuple[SagaRow, list[StepRow]]:
    found = get_store().load([key]).get(key)
    if found is None:
        raise _not_found(key)
    return found


def compensation_plan(key: UUID) -> CompensationPlan:
    """See `Saga.compensation_plan`."""
    return work_out_plan(*_load(key))


def next_steps(saga: Saga) -> list[Step]:
    """See `Saga.next_steps`."""
    positions = open_steps(*_load(saga.pk))
    return list(saga.steps.filter(position__in=positions))
