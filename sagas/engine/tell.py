"""Tells whoever listens to `sagas.signals` what a commit has brought about."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.dispatch import Signal

from ..core.states import TERMINAL, StepStatus
from ..models import Saga
from ..signals import attention_raised, debt_opened, saga_ended
from ..store.base import Result

logger = logging.getLogger(__name__)


def tell(results: Iterable[Result]) -> None:
    """Send the signals. Never raises."""
    if not (attention_raised.receivers or debt_opened.receivers or saga_ended.receivers):
        return
    for result in results:
        if result.changes:
            _tell(result, result.changes)


def _tell(result: Result, changes: dict[str, Any]) -> None:
    saga = result.saga
    if saga is None:
        return
    if changes.get("attention"):
        _send(attention_raised, result, reason=changes["attention"])
    for position, diff in changes.get("steps", {}).items():
        if diff.get("status") == StepStatus.COMPENSATION_FAILED:
            _send(debt_opened, result, step=saga.graph.steps[int(position)].name)
    if changes.get("state") in TERMINAL:
        _send(saga_ended, result, state=str(saga.state))


def _send(signal: Signal, result: Result, **details: Any) -> None:
    send(signal, result.submission.saga_id, result.name, **details)


def send(signal: Signal, saga_id: UUID, name: str, **details: Any) -> None:
    """Send one signal about a saga. Never raises."""
    found = signal.send_robust(Saga, saga_id=saga_id, name=name, **details)
    for receiver, answer in found:
        if isinstance(answer, Exception):
            logger.error(
                "a receiver of a saga's signal raised %s",
                type(answer).__name__,
                exc_info=answer,
                extra={"action": "signal_failed", "receiver": getattr(receiver, "__qualname__", str(receiver))},
            )
