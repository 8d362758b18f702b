"""Sagas that wait for their lock, run by workers: one at a time per key, in turn, also when processes are killed."""

import os
import signal
import threading
import time
from typing import Any

from sagas import Rejected, StepContext
from sagas.models import Saga, SagaLock
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses
from .test_program import Program, _known, on_lite, on_pg, program

__all__ = ["_known", "on_lite", "on_pg", "program"]


class Counter:
    """How many handlers of one key ran at once, at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[Any, int] = {}
        self.most = 0
        self.order: list[Any] = []

    def do(self, ctx: StepContext) -> None:
        key = ctx.context["order_id"]
        with self._lock:
            self._now[key] = self._now.get(key, 0) + 1
            self.most = max(self.most, self._now[key])
            self.order.append((key, ctx.context["n"]))
        time.sleep(0.003)
        with self._lock:
            self._now[key] -= 1
        if ctx.step == "last" and ctx.context["n"] % 3 == 0:
            raise Rejected("every third")


def test_one_at_a_time__in_turn__by_two_workers(place: str, kit: Kit, crew: Crew) -> None:
    counter = Counter()
    definition = kit.define(
        kit.step("first", counter.do), kit.step("last", counter.do), word="locked", lock="order:{order_id}"
    )
    contexts = [{"order_id": key, "n": n} for n in range(8) for key in (1, 2)]
    for _ in range(2):
        crew.start()

    sagas = [Saga.objects.start(definition, context=context) for context in contexts]

    assert all(saga.is_completed or saga.is_compensated for saga in ended(*sagas))
    assert counter.most == 1
    for key in (1, 2):
        turns = [n for where, n in counter.order if where == key]
        assert turns == sorted(turns)
    assert not SagaLock.objects.using(place).exists()


def test_burst__runs_a_whole_line(place: str, kit: Kit, crew: Crew) -> None:
    definition = kit.pair(lock="the only one")
    sagas = [Saga.objects.start(definition) for _ in range(5)]

    assert crew.burst() == 0

    assert all(fresh(saga).is_completed for saga in sagas)


def test_atomic_last_step__hands_the_lock_over(place: str, kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("only", handler={"atomic": True}), lock="the only one")
    sagas = [Saga.objects.start(definition) for _ in range(4)]

    assert crew.burst() == 0

    assert all(fresh(saga).is_completed for saga in sagas)


def test_worker_killed_in_the_holder__the_line_goes_on(program: Program) -> None:
    first, second = program.saga("locked", order_id=7), program.saga("locked", order_id=7)
    killed = program.start("--threads", "2")
    wait_until(lambda: program.calls() == ["wait s1"], within=30, what="the holder's handler")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)
    assert fresh(second).lock_state == "waits"

    program.start("--threads", "2", SAGAS_LEASE="4")
    wait_until(lambda: program.calls().count("wait s1") == 2, within=30, what="the holder's second attempt")
    assert statuses(second) == {"s1": "pending", "s2": "pending"}
    program.go_on()

    assert all(saga.is_completed for saga in ended(first, second))
    assert program.calls() == ["wait s1", "wait s1", "do s2", "wait s1", "do s2"]
