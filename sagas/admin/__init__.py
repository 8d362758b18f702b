"""The Django admin of sagas: a list, a read-only page, and what operators do to sagas and to their steps.

It only parses, asks the engine and reports; no rule is here, and no row is written but the admin's own log.
"""

from .batch import BatchAdmin
from .definitions import DefinitionAdmin
from .failures import FailureAdmin
from .saga import SagaAdmin
from .work import WorkItemAdmin
from .worker import WorkerAdmin

__all__ = ["BatchAdmin", "DefinitionAdmin", "FailureAdmin", "SagaAdmin", "WorkItemAdmin", "WorkerAdmin"]
