"""Starting a saga in a person's name: who did, and why, is in its history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.history import Entry
from ..definitions.definition import SagaDefinition
from ..definitions.ids import id_text
from ..models import Saga
from ..store import get_store
from .operate import clean_actor, clean_reason
from .reveal import complete_context
from .start import start

#: The note's kind in the history.
KIND = "started_by_hand"


def start_by_hand(
    definition: type[SagaDefinition], *, reason: str, actor: str, like: Saga | None = None, **options: Any
) -> Saga:
    """Start a saga, with `Saga.objects.start`'s options and checks, and write down who did. `like`: the saga that its
    author began from. The same idempotency key once more starts, and writes, nothing: `was_created` is false then."""
    who, why = clean_actor(actor), clean_reason(reason, needed_for="it is started")
    store = get_store()
    with store.atomic():
        saga = start(definition, **options)
        if saga.was_created:
            data = {} if like is None else {"like": id_text(like.pk)}
            store.add_note(saga.pk, Entry(None, KIND, store.now(), actor=who, reason=why, data=data), status=None)
    return saga


def completed(context: Mapping[str, Any], like: Saga | None) -> Mapping[str, Any]:
    """A context that was typed over another saga's, with what was hidden from its author. Raises `PayloadError`."""
    return context if like is None else complete_context(like, context)
