"""Signals from an operator's hand: which a saga can take now, and the sending of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from ..core.decide import decide
from ..core.errors import SagaError
from ..core.rows import SagaRow, StepRow
from ..core.states import Wait
from ..core.triggers import Signal
from ..engine.answer import signal
from ..models import Saga


@dataclass(frozen=True, slots=True)
class Taker:
    """A step that takes a signal."""

    signal: str
    step: str
    #: It waits for it now; otherwise it will, and finds it there.
    waits: bool

    def __str__(self) -> str:
        text = (
            gettext("%(signal)s: %(step)s waits for it") if self.waits else gettext("%(signal)s: for %(step)s, later")
        )
        return text % {"signal": self.signal, "step": self.step}


def takers(row: SagaRow, steps: Sequence[StepRow], now: datetime) -> Iterator[Taker]:
    """What the saga can be told now: first what is waited for. The engine's own `decide` is asked."""
    found = [
        Taker(name, row.graph.steps[position].name, steps[position].waits is Wait.SIGNAL)
        for name, position in row.graph.signals.items()
        if _takes(row, steps, name, now)
    ]
    yield from sorted(found, key=lambda taker: (not taker.waits, taker.signal))


def _takes(row: SagaRow, steps: Sequence[StepRow], name: str, now: datetime) -> bool:
    try:
        return decide(row, list(steps), Signal(name, digest="?"), now).moved
    except SagaError:
        return False


def send(saga: Saga, *, name: str, payload: Any, expected_revision: int | None = None, **who: Any) -> Saga:
    """Tell it. A fact is one of any revision; that the operator looked at this one was seen to before."""
    return signal(saga, name, payload, **who)
