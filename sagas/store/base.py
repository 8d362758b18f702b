"""The store contract: where sagas live. A store applies decisions; it holds no rule of its own.

Every store passes `tests/store/contract.py`. `apply` is the only way to change a saga: lock, read, `decide`, write,
in one transaction for a whole group of submissions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from ..core.claims import Claim, Offer, TokenBook
from ..core.errors import SagaError
from ..core.graph import Graph
from ..core.history import Entry
from ..core.rows import SagaRow, StepRow
from ..core.states import Lock, StepStatus
from ..core.triggers import Trigger


@dataclass(slots=True)
class NewSaga:
    """A saga to insert; payloads are JSON text."""

    id: UUID
    name: str
    version: str
    graph: Graph
    rollback: bool
    context: str
    #: Inputs that are known already, by position.
    inputs: Mapping[int, str]
    payload_hash: str
    owner: str = ""
    idempotency_key: str | None = None
    tags: str = "[]"
    priority: int = 0
    subject_type: int | None = None
    subject_id: str = ""
    deadline_at: datetime | None = None
    request_id: str = ""
    #: For a child saga: whose step has started it, the step's name and round; how many sagas are above it.
    parent: UUID | None = None
    parent_step: str = ""
    parent_round: int = 0
    depth: int = 0
    #: The sweep looks at it after this time if nobody has before.
    wake_in: timedelta = timedelta(0)
    #: Its semantic lock; empty = none. `refuse`: it is not inserted while another living saga has it, else it waits.
    lock_key: str = ""
    lock_refuse: bool = False
    #: Set by the store as it inserts it.
    lock_state: Lock = Lock.NONE


@dataclass(frozen=True, slots=True)
class Existing:
    """What is known of a saga that an idempotency key was used for."""

    id: UUID
    payload_hash: str


@dataclass(frozen=True, slots=True)
class Inserted:
    """A saga that is new."""

    at: datetime
    wake_at: datetime | None


@dataclass(slots=True)
class Payload:
    """The payloads that travel with a trigger, as JSON text."""

    #: What the action (or the compensation) returned.
    output: str | None = None
    #: Keys to add to the context.
    context: str | None = None
    #: Inputs of steps that this result may make ready, worked out in advance …
    inputs: Mapping[int, str] = field(default_factory=dict)
    #: … from what the saga was at this revision; at another one they are not used.
    basis: int | None = None

    def size(self) -> int:
        """Roughly how many bytes it adds to a group."""
        return len(self.output or "") + len(self.context or "") + sum(map(len, self.inputs.values()))


@dataclass(slots=True)
class Loaded:
    """One saga as read (or as written last); `steps` and `saga` move on as triggers are decided."""

    saga: SagaRow
    steps: list[StepRow]
    name: str = ""
    request_id: str = ""
    #: The store's own keys of the steps' rows, by position.
    keys: Sequence[int] = ()
    #: Revision as read: what a conditional write compares with.
    read_revision: int = 0
    read_wake: datetime | None = None
    #: The payloads, where they were read with it.
    texts: Texts | None = None
    #: The lock that it waits for has been given to it.
    unlocked: bool = False


@dataclass(slots=True, eq=False)
class Submission:
    """One trigger for one saga. Submitted again after a lost answer it is recorded once: its tokens stay the same."""

    saga_id: UUID
    trigger: Trigger
    payload: Payload | None = None
    book: TokenBook = field(default_factory=TokenBook)
    #: It was submitted before and the answer was lost: an ignored result is no news then.
    again: bool = False
    #: Whatever the sender wants to find on the result.
    sender: Any = None
    #: The saga as this process wrote it last: decided from memory, and written only if it has not moved since.
    known: Loaded | None = None


class Verdict(Enum):
    """What became of a submission."""

    APPLIED = "applied"
    #: Nothing changed, and that is right; see `Result.reason`.
    IGNORED = "ignored"
    #: Another transaction holds the saga; try again soon.
    BUSY = "busy"
    MISSING = "missing"
    REFUSED = "refused"


@dataclass(slots=True)
class Result:
    """What became of one submission."""

    submission: Submission
    verdict: Verdict
    reason: str = ""
    error: SagaError | None = None
    #: The saga after it.
    saga: SagaRow | None = None
    steps: Sequence[StepRow] = ()
    name: str = ""
    request_id: str = ""
    #: The revision before this submission.
    revision_before: int = 0
    claims: list[Claim] = field(default_factory=list)
    #: Steps that could run now and that nobody took.
    unclaimed: list[int] = field(default_factory=list)
    #: Steps whose child sagas must be looked at.
    errands: list[int] = field(default_factory=list)
    #: Steps that wait for the limits of their handlers.
    limited: list[int] = field(default_factory=list)
    #: The store's own keys of the steps' rows.
    keys: Sequence[int] = ()
    #: The payloads after it, where the store has read them anyway.
    texts: Texts | None = None
    #: What its history entry says has changed; None when nothing has.
    changes: dict[str, Any] | None = None
    #: Sagas that have waited for its lock and may go on.
    woken: list[UUID] = field(default_factory=list)

    def known(self) -> Loaded | None:
        """The saga as it is now, for the next submission of the same process."""
        if self.saga is None:
            return None
        saga = self.saga
        return Loaded(saga, list(self.steps), self.name, self.request_id, self.keys, saga.revision, saga.wake_at)


@dataclass(slots=True)
class Texts:
    """A saga's payloads as JSON text, as of a revision."""

    revision: int
    context: str
    inputs: dict[int, str | None]
    outputs: dict[int, str | None]
    #: What compensations returned, in this round.
    undo_outputs: dict[int, str | None] = field(default_factory=dict)

    def add(self, position: int, given: str | None, output: str | None, undo_output: str | None) -> None:
        """One more step's."""
        self.inputs[position], self.outputs[position], self.undo_outputs[position] = given, output, undo_output


@dataclass(frozen=True, slots=True)
class DueSaga:
    """A saga that the sweep should look at."""

    id: UUID
    wake_at: datetime
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a child saga takes over from its parent."""

    owner: str = ""
    priority: int = 0


class Store(ABC):
    """Where sagas live."""

    @abstractmethod
    def insert(self, sagas: Sequence[NewSaga]) -> list[Inserted | Existing]:
        """Insert in the caller's transaction; for each: when, or the saga that has its idempotency key already.

        Raises `LockHeldError`, with nothing inserted, for one that would have to wait for its lock and is not to.
        """

    @abstractmethod
    def load(self, ids: Iterable[UUID]) -> dict[UUID, tuple[SagaRow, list[StepRow]]]:
        """Read sagas without locking them."""

    @abstractmethod
    def texts(self, ids: Iterable[UUID]) -> dict[UUID, Texts]:
        """Read payloads, each saga's of one revision."""

    @abstractmethod
    def due(self, *, limit: int, after: DueSaga | None = None) -> list[DueSaga]:
        """Sagas whose `wake_at` has passed, those of a higher priority first, then the earliest; behind `after` (a
        keyset cursor)."""

    @abstractmethod
    def apply(
        self, submissions: Sequence[Submission], offer: Offer | None = None, *, wait: bool = False
    ) -> list[Result]:
        """Decide and write a group in one transaction; results in the order of the submissions.

        A saga that another transaction holds is BUSY, unless `wait`. Claims are made when there is an `offer`.
        Raises `StoreConnectionError` (submit the same again), `StoreConflictError` (likewise, at once) and
        `StoreDataError` (the group was refused: halve it).
        """

    @abstractmethod
    def add_note(self, saga_id: UUID, entry: Entry, *, status: StepStatus | None) -> bool:
        """Write a note about a step that still has this status (None: any; without a position: about the saga), in a
        transaction; whether it is a new one: False when there is one of its key, when the step has moved, or when
        there is no such saga. Notes without a key are all new."""

    @abstractmethod
    def now(self) -> datetime:
        """The store's time: the only one that goes into rows."""

    def inherited(self, saga_id: UUID) -> Inherited:
        """What the saga's children take over from it."""
        return Inherited()

    def clock(self) -> datetime:
        """About the store's time, without asking it."""
        return self.now()

    def after_commit(self, function: Callable[[], None]) -> None:
        """Call `function` once the caller's transaction is durable (at once when there is none)."""
        function()

    def atomic(self) -> AbstractContextManager[Any]:
        """A transaction for an atomic step: what the handler writes and its outcome commit together."""
        return nullcontext()
