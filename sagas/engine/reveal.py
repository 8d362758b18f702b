"""What is hidden in payloads: shown to a person who may see it, which is recorded; and put back where somebody edited
a payload that they could not see the whole of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ..core.errors import PayloadError
from ..core.history import Entry
from ..core.redaction import REDACTED, hidden_paths, mentions, restore
from ..definitions.sensitive import rules_of
from ..models import Saga, Step
from ..store import get_store
from .operate import clean_actor, clean_reason, not_found

#: The kind of the note.
REVEALED = "revealed"
#: Places that one note names.
MAX_NAMED = 50


def reveal(saga: Saga, *, reason: str, actor: str) -> None:
    """Record in the saga's history that somebody is shown what is hidden in its payloads, where, and why; only after
    that is it shown. Nothing else changes, the revision neither. Raises `PayloadError`, `SagaNotFoundError`."""
    store = get_store()
    places = hidden_places(saga, saga.steps.all())
    more = [f"… {len(places) - MAX_NAMED} more"] if len(places) > MAX_NAMED else []
    note = Entry(
        None,
        REVEALED,
        store.now(),
        actor=clean_actor(actor),
        reason=clean_reason(reason, needed_for="it is shown"),
        data={"places": [*places[:MAX_NAMED], *more]},
    )
    with store.atomic():
        if not store.add_note(saga.pk, note, status=None):
            raise not_found(saga.pk)


def hidden_places(saga: Saga, steps: Any) -> list[str]:
    """Where something is hidden, as `context.card.number` or `charge.input.token`."""
    rules = rules_of(saga.name)
    found = [f"context.{place}" for place in hidden_paths(saga.context, rules)]
    for step in steps:
        own = rules_of(saga.name, step.action)
        for part in ("input", "output", "undo_output"):
            found += [f"{step.name}.{part}.{place}" for place in hidden_paths(getattr(step, part), own)]
    return found


def complete_input(saga: Saga | UUID, step: str, typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """A step's new input, with what was hidden from its author taken from the present one."""
    key = saga.pk if isinstance(saga, Saga) else saga

    def known() -> tuple[str, Any]:
        row = Step.objects.filter(saga_id=key, name=step).select_related("saga").first()
        return (row.saga.name, row.input) if row is not None else ("", {})

    return _complete(f"input of step {step!r}", typed, known)


def complete_context(saga: Saga, typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same for a context that takes the place of the saga's."""
    return _complete("context", typed, lambda: (saga.name, saga.context))


def _complete(what: str, typed: Mapping[str, Any], known: Any) -> Mapping[str, Any]:
    try:
        if not mentions(typed):
            return typed
    except RecursionError:  # refused where payloads are checked
        return typed
    name, value = known()
    try:
        found: Mapping[str, Any] = restore(typed, value, rules_of(name))
    except ValueError as exc:
        raise PayloadError(
            f"{what}: {REDACTED} stands for the hidden value of {exc.args[0]!r}, and there is none in that place; give "
            f"the value itself"
        ) from None
    return found
