"""A saga that has ended, begun once more: a new saga, by today's definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from ..core.decide import decide
from ..core.errors import TransitionNotAllowedError
from ..core.triggers import Restart
from ..definitions.ids import id_text
from ..definitions.registry import registry
from ..models import Saga
from ..store import get_store
from ..store.base import NewSaga, Submission
from .operate import clean_actor, clean_reason, load, submit
from .reveal import complete_context
from .start import insert, prepare

#: The tag of a saga that was started in the place of another.
RESTART_OF = "restart-of:"


def restart(
    saga: Saga,
    *,
    context: Mapping[str, Any] | None = None,
    reason: str = "",
    actor: str = "",
    expected_revision: int | None = None,
    **options: Any,
) -> Saga:
    """See `Saga.restart`."""
    key: UUID = saga.pk
    trigger = Restart(clean_actor(actor), clean_reason(reason), expected_revision)
    store = get_store()
    # Refused before anything is put together; not for its revision: an idempotency key may know it from before.
    decide(*load(key), replace(trigger, expected_revision=None), store.clock())
    new = successor(saga, context, **options)
    with store.atomic():
        started = insert([new], store)[0]
        if started.was_created:
            submit(Submission(key, trigger))
    return started


def successor(saga: Saga, context: Mapping[str, Any] | None = None, **options: Any) -> NewSaga:
    """What would be started in the saga's place. Raises `TransitionNotAllowedError` where there is no definition (any
    more), `DefinitionError` and `PayloadError`."""
    if saga.name not in registry.definitions:
        raise TransitionNotAllowedError(
            f"cannot restart saga: expected a definition {saga.name!r}, there is none; start a new saga with its steps",
            saga_id=saga.pk,
            state=saga.state,
        )
    before = {"owner": saga.owner, "subject": saga.subject, "priority": saga.priority, "rollback": saga.rollback}
    tags = [tag for tag in saga.tags if not str(tag).startswith(RESTART_OF)]
    return prepare(
        saga.name,
        context=saga.context if context is None else complete_context(saga, context),
        tags=[*tags, f"{RESTART_OF}{id_text(saga.pk)}"],
        **{**before, **options},
    )
