"""Starting sagas: everything is checked, frozen and inserted inside the caller's transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.models.base import ModelState

from ..conf import app_settings
from ..core.errors import DefinitionError, PayloadError
from ..core.payload import object_text, to_text
from ..core.start import opening_state
from ..crash import crash_point
from ..definitions.context import Outputs, ReadOnlyDict
from ..definitions.definition import SagaDefinition
from ..definitions.handlers import check_name
from ..definitions.ids import id_text, new_id
from ..definitions.locks import lock_key
from ..definitions.typed import opening_context
from ..exceptions import DuplicateSagaError, StoreError
from ..models import Saga
from ..store import get_store
from ..store.base import Existing, Inserted, NewSaga, Store
from .blueprint import Blueprint, InputFunction, blueprint, blueprint_of_steps, definition_of, work_out
from .connections import connected
from .notify import hint, hint_grace

#: Sagas per statement of `start_many`.
CHUNK = 500
MAX_TAGS = 32
MAX_OWNER = 150
MAX_KEY = 200
_NO_TAGS = "[]"
#: What a start leaves as it is. (What could be changed in place, context and tags, is always given.)
_UNTOUCHED = {field.attname: field.get_default() for field in Saga._meta.concrete_fields}


def start(definition: str | type[SagaDefinition], **options: Any) -> Saga:
    """See `Saga.objects.start`."""
    return insert([prepare(definition, **options)], get_store())[0]


def start_many(definition: str | type[SagaDefinition], rows: Iterable[Mapping[str, Any]]) -> list[Saga]:
    """See `Saga.objects.start_many`."""
    store = get_store()
    _check_transaction()
    found: list[Saga] = []
    chunk: list[NewSaga] = []
    with store.atomic():
        for row in rows:
            chunk.append(prepare(definition, **row))
            if len(chunk) == CHUNK:
                found += insert(chunk, store)
                chunk = []
        found += insert(chunk, store)
    return found


def insert(sagas: Sequence[NewSaga], store: Store) -> list[Saga]:
    """Insert prepared sagas; their hints go out when the caller's transaction is durable."""
    if not sagas:
        return []
    _check_transaction()
    crash_point("start_before_commit")
    inserted = store.insert(sagas)
    started = [_as_saga(new, known) for new, known in zip(sagas, inserted, strict=True)]
    fresh = [(saga.id, first_queue(new)) for saga, new in zip(started, sagas, strict=True) if _waits(saga)]
    if fresh:
        store.after_commit(lambda: announce(fresh))
    return started


def _waits(saga: Saga) -> bool:
    return saga.was_created and not saga.is_terminal


def first_queue(new: NewSaga) -> str:
    """Where its first step is done."""
    for spec in new.graph.steps:
        if not spec.depends_on:
            return spec.queue
    return ""


def announce(fresh: Sequence[tuple[UUID, str]]) -> None:
    """Hints for new sagas, each to the queue of its first step."""
    crash_point("start_after_commit")
    for saga_id, queue in fresh:
        hint([saga_id], participant=queue)


def _check_transaction() -> None:
    """A start inside a transaction on another database would not be undone with it."""
    alias = app_settings().DATABASE
    if len(connections.settings) == 1 or connections[alias].in_atomic_block:
        return
    for other in connected():
        if other.alias != alias and other.in_atomic_block:
            raise StoreError(
                f"cannot start a saga: expected a transaction on the database {alias!r} (SAGAS['DATABASE']) or none, "
                f"found one open on {other.alias!r}; the saga would not be rolled back with it"
            )


def prepare(  # noqa: PLR0913
    definition: str | type[SagaDefinition],
    *,
    context: Mapping[str, Any] | None = None,
    steps: Sequence[Any] | None = None,
    subject: models.Model | None = None,
    owner: str = "",
    idempotency_key: str | None = None,
    tags: Sequence[str] = (),
    priority: int = 0,
    deadline: datetime | timedelta | None = None,
    rollback: bool | None = None,
    request_id: str = "",
    now: Callable[[], datetime] | None = None,
) -> NewSaga:
    """Check everything that a saga is started with. `now`: another clock than the store's.

    Raises `DefinitionError` and `PayloadError`.
    """
    found = definition_of(definition) if steps is None else None
    given = _context(context)
    text = given if found is None else _typed(found, given)
    plan = _plan(definition, steps) if found is None else _blueprint(found, text)
    subject_type, subject_id = _subject(subject)
    new = NewSaga(
        id=new_id(),
        name=plan.name,
        version=plan.version,
        graph=plan.graph,
        rollback=_rollback(plan.rollback if rollback is None else rollback),
        context=text,
        inputs=_inputs(plan, text),
        payload_hash="",
        owner=_text(owner, what="owner", limit=MAX_OWNER),
        idempotency_key=None if idempotency_key is None else _key(idempotency_key),
        tags=_tags(tags),
        priority=_priority(priority),
        subject_type=subject_type,
        subject_id=subject_id,
        deadline_at=_deadline(_limit(plan.deadline) if deadline is None else deadline, now),
        request_id=_text(request_id, what="request id", limit=128),
        wake_in=hint_grace(),
    )
    if found is not None and found.lock is not None:
        new.lock_key, new.lock_refuse = lock_key(found.name, found.lock, json.loads(text)), found.lock_refuses()
    if new.idempotency_key is not None:
        new.payload_hash = _payload_hash(new, given, rollback=rollback, own_steps=steps is not None)
    return new


def _context(context: Mapping[str, Any] | None) -> str:
    if context is None:
        context = {}
    elif type(context) is not dict and isinstance(context, Mapping):
        context = dict(context)
    return object_text(context, what="context", limit=app_settings().MAX_CONTEXT)


def _typed(definition: type[SagaDefinition], given: str) -> str:
    """The context as the definition's model wants it, with its defaults."""
    typed = definition.typed_context()
    if typed is None:
        return given
    what = f"context of {definition.name!r}"
    full = opening_context(typed, json.loads(given), what=what)
    return object_text(full, what=what, limit=app_settings().MAX_CONTEXT)


def _rollback(value: object) -> bool:
    if not isinstance(value, bool):
        raise PayloadError(f"rollback: expected True or False, got {value!r:.80}")
    return value


def _plan(definition: str | type[SagaDefinition], steps: Sequence[Any] | None) -> Blueprint:
    """Of a saga that brings its own steps."""
    name = definition if isinstance(definition, str) else definition.name
    return blueprint_of_steps(check_name(name, what="saga"), steps or ())


def _blueprint(definition: type[SagaDefinition], context: str) -> Blueprint:
    if not definition.is_composed():
        return blueprint(definition, {})
    try:
        return blueprint(definition, ReadOnlyDict(json.loads(context)))
    except (DefinitionError, PayloadError):
        raise
    except Exception as exc:
        raise PayloadError(
            f"saga definition {definition.name!r}: expected a context that its steps can be put together from, their "
            f"function raised {type(exc).__name__}: {exc}"
        ) from exc


def _inputs(plan: Blueprint, context: str) -> Mapping[int, str]:
    """Fixed inputs, and those of the steps that are ready from the start."""
    if not plan.functions:
        return plan.fixed
    found = dict(plan.fixed)
    for position, function in plan.functions.items():
        spec = plan.graph.steps[position]
        if not (spec.depends_on or spec.checks):
            found[position] = _first_input(function, spec.name, context)
    return found


def _first_input(function: InputFunction, name: str, context: str) -> str:
    try:
        return work_out(function, name, ReadOnlyDict(json.loads(context)), Outputs({}))
    except PayloadError:
        raise
    except Exception as exc:
        raise PayloadError(
            f"input of step {name!r}: expected a context that it can be worked out from, its function raised "
            f"{type(exc).__name__}: {exc}"
        ) from exc


def _payload_hash(new: NewSaga, given: str, *, rollback: bool | None, own_steps: bool) -> str:
    """Of what the caller gave. Not of what a definition adds: a retry after a deploy is still the same request."""
    canonical = json.dumps(json.loads(given), sort_keys=True)
    steps = _own_steps(new) if own_steps else ()
    parts = (steps, canonical, rollback, new.tags, new.priority, new.subject_type, new.subject_id)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _own_steps(new: NewSaga) -> tuple[Any, ...]:
    return tuple(
        (spec.name, spec.does, spec.compensation, spec.depends_on, _sorted(new.inputs.get(position, "{}")))
        for position, spec in enumerate(new.graph.steps)
    )


def _sorted(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def _subject(subject: models.Model | None) -> tuple[int | None, str]:
    if subject is None:
        return None, ""
    if not isinstance(subject, models.Model) or subject.pk is None:
        raise DefinitionError(f"subject: expected a saved model instance, got {subject!r}")
    return ContentType.objects.get_for_model(subject).pk, str(subject.pk)


def _text(value: object, *, what: str, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit or not (value.isprintable() or not value):
        raise PayloadError(f"{what}: expected at most {limit} printable characters, got {value!r:.80}")
    return value


def _key(value: object) -> str:
    if not value:
        raise PayloadError("idempotency key: expected text that is not empty")
    return _text(value, what="idempotency key", limit=MAX_KEY)


def _tags(tags: Sequence[str]) -> str:
    if tags == ():
        return _NO_TAGS
    listed = isinstance(tags, Sequence) and not isinstance(tags, str)
    if not listed or len(tags) > MAX_TAGS or not all(isinstance(tag, str) for tag in tags):
        raise PayloadError(f"tags: expected a list of at most {MAX_TAGS} texts, got {tags!r:.80}")
    return to_text(list(tags), what="tags", limit=4096) if tags else _NO_TAGS


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -100 <= value <= 100:
        raise PayloadError(f"priority: expected a whole number from -100 to 100, got {value!r:.80}")
    return value


def _limit(value: float | timedelta | None) -> timedelta | None:
    return timedelta(seconds=value) if isinstance(value, (int, float)) else value


def _deadline(value: datetime | timedelta | None, now: Callable[[], datetime] | None) -> datetime | None:
    if isinstance(value, timedelta):
        try:
            return (now or get_store().now)() + value
        except OverflowError as exc:
            raise PayloadError(f"deadline: expected a time before the year 10000, got {value!r:.80} from now") from exc
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise PayloadError(f"deadline: expected an aware datetime or a timedelta, got {value!r:.80}")
    return value


def _as_saga(new: NewSaga, known: Inserted | Existing) -> Saga:
    if isinstance(known, Existing):
        return _repeated(new, known)
    values = {
        **_UNTOUCHED,
        "id": new.id,
        "name": new.name,
        "version": new.version,
        "graph_id": new.graph.hash,
        "state": opening_state(new.graph)[0],
        "rollback": new.rollback,
        "context": json.loads(new.context),
        "subject_type_id": new.subject_type,
        "subject_id": new.subject_id,
        "owner": new.owner,
        "idempotency_key": new.idempotency_key,
        "payload_hash": new.payload_hash,
        "tags": [] if new.tags == _NO_TAGS else json.loads(new.tags),
        "priority": new.priority,
        "wake_at": known.wake_at,
        "deadline_at": new.deadline_at,
        "request_id": new.request_id,
        "lock_key": new.lock_key,
        "lock_state": new.lock_state,
        "created_at": known.at,
        "updated_at": known.at,
        "completed_at": known.at if known.wake_at is None else None,
    }
    # As if it had been read: what Django does with it next goes to the row that is there. (Not by `from_db`, which sets
    # field by field and sends two signals: three times as long.)
    saga = Saga.__new__(Saga)
    saga.__dict__ = values
    saga._state = state = ModelState()
    state.adding, state.db = False, app_settings().DATABASE
    return saga


def _repeated(new: NewSaga, known: Existing) -> Saga:
    if known.payload_hash != new.payload_hash:
        raise DuplicateSagaError(
            f"the idempotency key {new.idempotency_key!r} was used for saga {id_text(known.id)} with another payload; "
            f"use a new key for a new saga",
            saga_id=known.id,
        )
    found: Saga = Saga.objects.using(app_settings().DATABASE).get(pk=known.id)
    found.was_created = False
    return found
