"""What operators ask for one step: one use case each, behind Python, REST and the admin. Steps are given by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..conf import LONGEST, app_settings
from ..core import triggers as t
from ..core.errors import PayloadError, TransitionNotAllowedError
from ..core.graph import StepSpec
from ..core.payload import object_text, to_text
from ..exceptions import NotAllowedToApproveError
from ..models import Saga
from ..store import get_store
from ..store.base import Payload
from .may import is_one_of
from .operate import MAX_ACTOR, apply_trigger, clean, clean_actor, clean_reason, load
from .reveal import complete_input


def edit(
    saga: Saga | UUID,
    step: str,
    input: Mapping[str, Any],  # noqa: A002
    *,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
) -> Saga:
    """See `Saga.retry_with`."""
    position, spec = find(saga, step)
    input = complete_input(saga, spec.name, input)  # noqa: A001
    text = object_text(input, what=f"input of step {spec.name!r}", limit=app_settings().MAX_CONTEXT)
    trigger = t.Edit(clean_actor(actor), clean_reason(reason), expected_revision, position)
    return apply_trigger(saga, trigger, Payload(inputs={position: text}))


def skip(
    saga: Saga | UUID,
    step: str,
    *,
    output: Any = None,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
) -> Saga:
    """See `Saga.skip`."""
    position, spec = find(saga, step)
    trigger = t.Skip(clean_actor(actor), clean_reason(reason), expected_revision, position)
    return apply_trigger(saga, trigger, _output(spec, output))


def approve(
    saga: Saga | UUID,
    step: str,
    *,
    user: Any = None,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
) -> Saga:
    """See `Saga.approve`."""
    position, spec = find(saga, step)
    who = _approver(spec, user, actor)
    return apply_trigger(saga, t.Approve(who, clean_reason(reason), expected_revision, position))


def deny(
    saga: Saga | UUID,
    step: str,
    *,
    user: Any = None,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
) -> Saga:
    """See `Saga.deny`."""
    position, spec = find(saga, step)
    who = _approver(spec, user, actor)
    return apply_trigger(saga, t.Deny(who, clean_reason(reason), expected_revision, position))


def resolve(  # noqa: PLR0913
    saga: Saga | UUID,
    step: str,
    *,
    done: bool,
    output: Any = None,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
) -> Saga:
    """See `Saga.resolve`."""
    position, spec = find(saga, step)
    why = clean_reason(reason, needed_for="this is so")
    trigger = t.Resolve(clean_actor(actor), why, expected_revision, position, done)
    return apply_trigger(saga, trigger, _output(spec, output) if done else None)


def roll_back_to(
    saga: Saga | UUID, step: str, *, reason: str = "", actor: str = "", expected_revision: int | None = None
) -> Saga:
    """See `Saga.roll_back_to`."""
    position, _ = find(saga, step)
    return apply_trigger(saga, t.Rewind(clean_actor(actor), clean_reason(reason), expected_revision, position))


def assign(  # noqa: PLR0913
    saga: Saga | UUID,
    step: str,
    *,
    owner: str = "",
    next_try: datetime | None = None,
    expected_owner: str | None = None,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
) -> Saga:
    """See `Saga.assign`."""
    position, _ = find(saga, step)
    whom, at = clean(owner, what="owner", limit=MAX_ACTOR), None if next_try is None else _in_utc(next_try)
    known = None if expected_owner is None else clean(expected_owner, what="expected_owner", limit=MAX_ACTOR)
    trigger = t.Assign(clean_actor(actor), clean_reason(reason), expected_revision, position, whom, at, known)
    return apply_trigger(saga, trigger)


def take(saga: Saga | UUID, step: str, *, actor: str, reason: str = "") -> Saga:
    """See `Saga.take`."""
    return _hand_over(saga, step, actor, reason, owner=actor, instead_of="")


def give_back(saga: Saga | UUID, step: str, *, actor: str, reason: str = "") -> Saga:
    """See `Saga.give_back`."""
    return _hand_over(saga, step, actor, reason, owner="", instead_of=actor)


def _hand_over(saga: Saga | UUID, step: str, actor: str, reason: str, **change: Any) -> Saga:
    """No revision is asked for: who looks after a step does not depend on what the others do meanwhile."""
    who = clean_actor(actor)
    if not who:
        raise PayloadError("actor: expected who takes it, or gives it back, got nothing")
    position, _ = find(saga, step)
    return apply_trigger(saga, t.Assign(who, clean_reason(reason), None, position, keeps_time=True, **change))


def _in_utc(at: object) -> datetime:
    """A time that every database can store, and that can be read again in any time zone."""
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise PayloadError(f"next_try: expected an aware datetime or None, got {at!r:.80}")
    now = get_store().clock()
    if not now - LONGEST < at < now + LONGEST:
        raise PayloadError(f"next_try: expected a time within {LONGEST.days} days of now, got {at.isoformat()}")
    return at.astimezone(UTC)


def find(saga: Saga | UUID, step: str) -> tuple[int, StepSpec]:
    """The step's position and how it is declared. Raises `TransitionNotAllowedError` when the saga has none such."""
    row, _ = load(saga.pk if isinstance(saga, Saga) else saga)
    position = row.graph.names.get(step) if isinstance(step, str) else None
    if position is None:
        raise TransitionNotAllowedError(
            f"expected the name of a step of this saga ({', '.join(row.graph.names)}), got {step!r:.80}",
            saga_id=row.id,
            state=row.state,
        )
    return position, row.graph.steps[position]


def _output(spec: StepSpec, value: Any) -> Payload | None:
    """A substitute for what the step would have returned."""
    if value is None:
        return None
    return Payload(output=to_text(value, what=f"output of step {spec.name!r}", limit=app_settings().MAX_OUTPUT))


def _approver(spec: StepSpec, user: Any, actor: str) -> str:
    """Who approves. With a `user` the step's `approvers` are asked for; code without one is trusted."""
    if user is None:
        return clean_actor(actor)
    if not may_approve(spec, user):
        raise NotAllowedToApproveError(
            f"step {spec.name!r} is to be approved by somebody with the permission, or in the group, "
            f"{spec.approvers!r}",
            step=spec.name,
        )
    return clean_actor(user.get_username())


def may_approve(spec: StepSpec, user: Any) -> bool:
    """Whether the user is one of the step's `approvers`: has that permission, or is in that group."""
    wanted = spec.approvers
    return not wanted or is_one_of(user, (wanted,))
