"""The rows: `Saga`, `Step`, `HistoryEntry`, `Worker`, `SagaGraph`, `SagaLock`. They hold no rule; only the store
writes them."""

from .graph import SagaGraph
from .history import HistoryEntry
from .lock import SagaLock
from .saga import Saga
from .step import Step
from .worker import Worker

__all__ = ["HistoryEntry", "Saga", "SagaGraph", "SagaLock", "Step", "Worker"]
