"""`sagas`: sagas for Django. A business operation across services, each step with a compensation that undoes it.

What a `sagas.py` imports stands here. Models (`Saga`, `Step`) are in `sagas.models`; errors in `sagas.exceptions`.
Importing this package needs no settings and no database.
"""

from .core.retry import RetryPolicy
from .definitions.context import Pending, StepContext
from .definitions.definition import SagaDefinition
from .definitions.handlers import action, compensation
from .definitions.steps import parallel, step
from .exceptions import Rejected, Retryable

__version__ = "0.1.0"

__all__ = [
    "Pending",
    "Rejected",
    "RetryPolicy",
    "Retryable",
    "SagaDefinition",
    "StepContext",
    "action",
    "compensation",
    "parallel",
    "step",
]
