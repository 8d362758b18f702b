"""A saga that has ended, begun once more: a new saga, by today's definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import TransitionNotAllowedError
from ..core.states import SagaState
from ..definitions.ids import id_text
from ..models import Saga
from .start import start


def restart(saga: Saga, *, context: Mapping[str, Any] | None = None, **options: Any) -> Saga:
    """See `Saga.restart`."""
    if saga.state not in (SagaState.COMPENSATED, SagaState.COMPLETED):
        raise TransitionNotAllowedError(
            f"cannot restart saga: expected one that has ended with nothing left to undo, this one is {saga.state}; "
            f"retry or compensate it",
            saga_id=saga.pk,
            state=saga.state,
        )
    before = {"owner": saga.owner, "subject": saga.subject, "priority": saga.priority, "rollback": saga.rollback}
    tags = [tag for tag in saga.tags if not str(tag).startswith(RESTART_OF)]
    return start(
        saga.name,
        context=saga.context if context is None else context,
        tags=[*tags, f"{RESTART_OF}{id_text(saga.pk)}"],
        **{**before, **options},
    )


#: The tag of a saga that was started in the place of another.
RESTART_OF = "restart-of:"
