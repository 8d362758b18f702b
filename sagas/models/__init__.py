"""The rows: `Saga`, `Step`, `HistoryEntry`, `Worker`, `SagaGraph`, `SagaLock`, `ActionLimit`. They hold no rule;
only the store writes them, but for `Worker` and `ActionLimit`, which are the workers' own."""

from .graph import SagaGraph
from .history import HistoryEntry
from .limit import ActionLimit
from .lock import SagaLock
from .saga import Saga
from .step import Step
from .worker import Worker

__all__ = ["ActionLimit", "HistoryEntry", "Saga", "SagaGraph", "SagaLock", "Step", "Worker"]
