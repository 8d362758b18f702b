"""For your tests: sagas in process, on the memory store: no database, no broker, a clock that the test moves.

    run = run_saga(OrderProcessing, {"order": 7}, fail={"charge_payment": Rejected("declined", code="card_declined")})
    assert run.state == "compensated"
    assert run.undone == ["reserve_inventory", "create_order"]

`given(…).expect(…).reply(…)` writes down what the participants answer; `fail_every_step` makes every step fail in every
way. They work in any test: pytest's functions, `unittest.TestCase`, Django's `TestCase`. See docs/testing.md.

The engine is the real one: the same `decide`, the same contexts, the same JSON round trip of every value.
"""

from __future__ import annotations

from ..definitions.handlers import Handler
from .clock import Clock
from .every import FROZEN, WAYS, Report, Trial, Way, fail_every_step
from .faults import CrashAfter, CrashBefore, Frozen, Timeout
from .run import SagaRun, run_saga
from .script import Expected, Script, given
from .view import ChildRun

__all__ = [
    "FROZEN",
    "WAYS",
    "ChildRun",
    "Clock",
    "CrashAfter",
    "CrashBefore",
    "Expected",
    "Frozen",
    "Handler",
    "Report",
    "SagaRun",
    "Script",
    "Timeout",
    "Trial",
    "Way",
    "fail_every_step",
    "given",
    "run_saga",
]
