"""Every error of the app, and the two outcomes that handlers raise. `sagas.core` defines what it raises itself."""

from __future__ import annotations

from datetime import timedelta

from .core.errors import (
    DefinitionError,
    InvariantError,
    PayloadError,
    SagaError,
    SagaMovedError,
    TransitionNotAllowedError,
)

#: The longest code and message that are stored.
MAX_CODE = 100
MAX_MESSAGE = 2000


class SagaNotFoundError(SagaError):
    """There is no such saga."""

    code = "not_found"


class DuplicateSagaError(SagaError):
    """This idempotency key was used before, with another payload."""

    code = "idempotency_conflict"


class LockHeldError(SagaError):
    """Another living saga has the lock. `details["holder"]` is its id."""

    code = "lock_held"


class StoreError(SagaError):
    """The store could not do it."""

    code = "store"


class StoreConnectionError(StoreError):
    """The database does not answer. The same can be submitted again: it is recorded once."""

    code = "store_connection"


class StoreConflictError(StoreError):
    """The database broke the transaction off (deadlock, lock, serialisation). The same can be submitted again."""

    code = "store_conflict"


class StoreDataError(StoreError):
    """The database refused a value."""

    code = "store_data"


class BadTokenError(SagaError):
    """The token is none of ours: expected what `ctx.token` gave to the handler."""

    code = "bad_token"


class AnswerRefusedError(SagaError):
    """The answer does not count: it comes too late, or contradicts an earlier one."""

    code = "answer_refused"


class NotAllowedToApproveError(SagaError):
    """Somebody else has to approve."""

    code = "not_an_approver"


class BatchError(SagaError):
    """This batch can not be."""

    code = "batch"


class BatchNotAllowedError(BatchError):
    """Somebody else has to make or steer this batch."""

    code = "batch_not_allowed"


class Rejected(Exception):
    """Raise it in a handler: the business says no. Surely no effect, so no retry; the saga rolls back.

    `code` is a short stable word for programs, kept on the step.
    """

    def __init__(self, message: str = "", *, code: str = "rejected") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Retryable(Exception):
    """Raise it in a handler: not now. It is tried again by the step's policy, or `after` this time.

    It says nothing about the effect: the step is in doubt until it completes. `after`: seconds or a timedelta.
    """

    def __init__(self, message: str = "", *, code: str = "retryable", after: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.after = timedelta(seconds=after) if isinstance(after, (int, float)) else after


__all__ = [
    "AnswerRefusedError",
    "BadTokenError",
    "BatchError",
    "BatchNotAllowedError",
    "DefinitionError",
    "DuplicateSagaError",
    "InvariantError",
    "LockHeldError",
    "NotAllowedToApproveError",
    "PayloadError",
    "Rejected",
    "Retryable",
    "SagaError",
    "SagaMovedError",
    "SagaNotFoundError",
    "StoreConflictError",
    "StoreConnectionError",
    "StoreDataError",
    "StoreError",
    "TransitionNotAllowedError",
]
