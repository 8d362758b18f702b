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
from ..core.triggers import Cancel, Compensate, OperatorTrigger, Pause, Resume, Retry, RunNow, Signal
from ..crash import crash_point
from ..definitions.ids import id_text
from ..exceptions import MAX_MESSAGE, SagaNotFoundError
from ..models import Saga, Step
from ..store import get_store
from ..store.base import Payload, Result, Submission, Verdict
from .children import carry, check_parent
from .notify import hint
from .tell import tell

if TYPE_CHECKING:
    from ..core.rows import SagaRow, StepRow

MAX_ACTOR = 150
#: Half of a surrogate pair: no database stores it.
_HALF = re.compile("[\ud800-\udfff]")


def compensate(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.compensate`."""
    return apply_trigger(saga, Compensate(clean_actor(actor), clean_reason(reason), expected_revision))


def retry(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.retry`."""
    return apply_trigger(saga, Retry(clean_actor(actor), clean_reason(reason), expected_revision))


def cancel(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.cancel`."""
    return apply_trigger(saga, Cancel(clean_actor(actor), clean_reason(reason), expected_revision))


def pause(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.pause`."""
    return apply_trigger(saga, Pause(clean_actor(actor), clean_reason(reason), expected_revision))


def resume(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.resume`."""
    return apply_trigger(saga, Resume(clean_actor(actor), clean_reason(reason), expected_revision))


def run_now(saga: Saga | UUID, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
    """See `Saga.run_now`."""
    return apply_trigger(saga, RunNow(clean_actor(actor), clean_reason(reason), expected_revision))


def clean_actor(actor: str) -> str:
    """Who: text that can be stored. Raises `PayloadError`."""
    return clean(actor, what="actor", limit=MAX_ACTOR)


def clean_reason(reason: str, *, needed_for: str = "") -> str:
    """Why: text that can be stored. Raises `PayloadError`."""
    if needed_for and not (isinstance(reason, str) and reason.strip()):
        raise PayloadError(f"reason: expected why {needed_for}, got nothing; it is kept as evidence")
    return clean(reason, what="reason", limit=MAX_MESSAGE)


def clean(text: str, *, what: str, limit: int) -> str:
    """Text that every database can store. Raises `PayloadError`."""
    if not isinstance(text, str) or "\x00" in text or _HALF.search(text) or len(text) > limit:
        raise PayloadError(f"{what}: expected at most {limit} characters of text, got {text!r:.80}")
    return text


def apply_trigger(saga: Saga | UUID, trigger: OperatorTrigger | Signal, payload: Payload | None = None) -> Saga:
    """Decide and record what somebody asks for; the workers hear of it once that is durable."""
    key: UUID = saga.pk if isinstance(saga, Saga) else saga
    check_parent(get_store(), key, trigger)
    crash_point("operate_before_commit")
    submit(Submission(key, trigger, payload))
    found: Saga = Saga.objects.using(app_settings().DATABASE).get(pk=key)
    return found


def submit(submission: Submission) -> Result:
    """Submit, waiting for whoever holds the saga. Raises what it was refused with."""
    store = get_store()
    result = store.apply([submission], wait=True)[0]
    if result.verdict is Verdict.MISSING:
        raise not_found(submission.saga_id)
    if result.error is not None:
        raise result.error
    store.after_commit(lambda: _announce(submission.saga_id, result))
    store.after_commit(lambda: carry(store, result))
    store.after_commit(lambda: tell([result]))
    return result


def _announce(key: UUID, result: Result) -> None:
    crash_point("operate_after_commit")
    hint(result.woken)
    if result.unclaimed:
        hint([key], undo=is_undo(result.steps[result.unclaimed[0]]))


def not_found(key: UUID) -> SagaNotFoundError:
    """There is no such saga."""
    return SagaNotFoundError(f"there is no saga {id_text(key)}", saga_id=key)


def load(key: UUID) -> tuple[SagaRow, list[StepRow]]:
    """The rows as the core sees them. Raises `SagaNotFoundError`."""
    found = get_store().load([key]).get(key)
    if found is None:
        raise not_found(key)
    return found


def compensation_plan(key: UUID) -> CompensationPlan:
    """See `Saga.compensation_plan`."""
    return work_out_plan(*load(key))


def next_steps(saga: Saga) -> list[Step]:
    """See `Saga.next_steps`."""
    positions = open_steps(*load(saga.pk))
    return list(saga.steps.filter(position__in=positions))
