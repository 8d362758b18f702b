"""The rows: `Saga`, `Step`, `HistoryEntry`, `Worker`, `SagaGraph`, `SagaLock`, `ActionLimit`. They hold no rule;
only the store writes them, but for `Worker` and `ActionLimit`, which are the workers' own. `Rollup`, `FailureGroup`
and their like are counts for people, `Batch` and `BatchItem` an operator's act on many sagas."""

from .batch import Batch, BatchItem, BatchState, ItemOutcome
from .failure import FailedSaga, FailureGroup, FailureHour
from .graph import Definition, SagaGraph
from .history import NEWEST_FIRST, HistoryEntry
from .limit import ActionLimit
from .lock import SagaLock
from .rollup import Rollup, SagaCount, SagaHour, StepHour
from .saga import Saga
from .step import Step, WorkItem
from .worker import Worker

__all__ = [
    "NEWEST_FIRST",
    "ActionLimit",
    "Batch",
    "BatchItem",
    "BatchState",
    "Definition",
    "FailedSaga",
    "FailureGroup",
    "FailureHour",
    "HistoryEntry",
    "ItemOutcome",
    "Rollup",
    "Saga",
    "SagaCount",
    "SagaGraph",
    "SagaHour",
    "SagaLock",
    "Step",
    "StepHour",
    "WorkItem",
    "Worker",
]
