"""Errors of the core, under the one root `SagaError`. A class's docstring is its default message."""

from __future__ import annotations

import inspect
from typing import Any


class SagaError(Exception):
    """Something went wrong in the saga engine."""

    #: Short stable word for programs (REST bodies, logs).
    code = "saga_error"

    def __init__(self, message: str = "", **details: Any) -> None:
        self.message = message or inspect.cleandoc(self.__doc__ or "")
        #: Identifiers, so that nobody has to parse the message: saga_id, step, state …
        self.details = details
        super().__init__(self.message)


class DefinitionError(SagaError):
    """A saga definition or a list of steps is not usable."""

    code = "invalid_definition"


class PayloadError(SagaError):
    """A value can not be stored as JSON within the limits."""

    code = "invalid_payload"


class TransitionNotAllowedError(SagaError):
    """The saga's state does not allow this."""

    code = "not_allowed"


class SagaMovedError(SagaError):
    """The saga has moved since it was read. Load it again, look, and decide anew."""

    code = "moved"


class InvariantError(SagaError):
    """The engine was about to break one of its own rules. Nothing was changed; this is a bug to report."""

    code = "invariant"
