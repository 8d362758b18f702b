"""The Django admin of sagas: a list, a read-only page, and two things to do: compensate and retry.

It only parses, asks the engine and reports; no rule is here, and no row is written but the admin's own log.
"""

from .saga import SagaAdmin
from .worker import WorkerAdmin

__all__ = ["SagaAdmin", "WorkerAdmin"]
