"""`max_concurrent` and `rate`: held over all workers, without a busy loop, and without being in the way of others."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sagas import StepContext
from sagas.models import ActionLimit, HistoryEntry, Saga
from sagas.models import Worker as WorkerRow
from sagas.worker.process import Worker
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh
from .test_program import Program, _known, on_lite, on_pg, program

__all__ = ["_known", "on_lite", "on_pg", "program"]


class Counter:
    """How many ran at once, who, and when they began."""

    def __init__(self, seconds: float = 0.02) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.began: list[float] = []

    def do(self, ctx: StepContext) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.began.append(time.monotonic())
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1


def most_within(times: list[float], period: float) -> int:
    times = sorted(times)
    return max(sum(1 for other in times if at <= other < at + period) for at in times)


def test_max_concurrent__over_two_workers(place: str, kit: Kit, crew: Crew) -> None:
    counter = Counter()
    definition = kit.define(kit.step("only", counter.do, handler={"max_concurrent": 3}))
    sagas = [Saga.objects.start(definition) for _ in range(40)]
    for _ in range(2):
        crew.start(threads=6)

    ended(*sagas)

    assert counter.most == 3
    assert len(counter.began) == 40


def test_max_concurrent__continuation_and_atomic_steps_count_too(place: str, kit: Kit, crew: Crew) -> None:
    counter = Counter(0.01)
    definition = kit.define(
        kit.step("first", handler={"atomic": True}), kit.step("second", counter.do, handler={"max_concurrent": 2})
    )
    sagas = [Saga.objects.start(definition) for _ in range(20)]
    for _ in range(2):
        crew.start(threads=6)

    ended(*sagas)

    assert counter.most <= 2


def test_rate__over_two_workers(place: str, kit: Kit, crew: Crew) -> None:
    counter = Counter(0)
    definition = kit.define(kit.step("only", counter.do, handler={"rate": "10/s"}))
    sagas = [Saga.objects.start(definition) for _ in range(25)]
    began = time.monotonic()
    for _ in range(2):
        crew.start(threads=4)

    ended(*sagas)

    assert most_within(counter.began, 1.0) <= 10
    assert 2.0 < time.monotonic() - began < 12


def test_begin_that_comes_too_late__does_not_happen(place: str, kit: Kit, crew: Crew) -> None:
    counter = Counter(0)
    definition = kit.define(kit.step("only", counter.do, handler={"rate": "10/s"}))
    saga = Saga.objects.start(definition)
    worker = Worker(threads=2, consume=False, burst=True)
    took, late = worker.limits.took, [True]
    worker.limits.took = lambda name: time.monotonic() - 1 if late and late.pop() else took(name)  # type: ignore[method-assign]

    worker.start()
    worker.join()

    kinds = list(HistoryEntry.objects.using(place).filter(saga=saga).order_by("id").values_list("kind", flat=True))
    assert kinds == ["started", "claimed", "handed_back", "completed"]  # handed back, and claimed again with it
    assert len(counter.began) == 1


def test_others__are_not_in_its_way(place: str, kit: Kit, crew: Crew) -> None:
    # What is over the limit came first, and is far more than a sweep takes at once.
    stuck = threading.Event()
    slow = kit.define(
        kit.step("slow", lambda ctx: stuck.wait(20) and None, handler={"max_concurrent": 1}), word="slow_saga"
    )
    quick = kit.pair()
    waiting = [Saga.objects.start(slow) for _ in range(100)]
    crew.start(threads=4)
    others = [Saga.objects.start(quick) for _ in range(10)]

    ended(*others, within=8)

    assert not any(fresh(saga).is_terminal for saga in waiting)
    stuck.set()
    ended(*waiting)


def test_waiting__is_no_busy_loop(place: str, kit: Kit, crew: Crew) -> None:
    stuck = threading.Event()
    definition = kit.define(kit.step("slow", lambda ctx: stuck.wait(20) and None, handler={"max_concurrent": 1}))
    sagas = [Saga.objects.start(definition) for _ in range(30)]
    worker = crew.start(threads=4)
    looks: list[Any] = []
    wait_until(lambda: len(worker.limits._actions[f"{kit.name('slow')}"].line) == 29)
    look = worker.committer.look
    worker.committer.look = lambda *args, **kwargs: looks.append(args) or look(*args, **kwargs)  # type: ignore[method-assign]
    asked = ActionLimit.objects.using(place).get().revision

    time.sleep(1.5)

    # At most once each in a sweep after a few seconds; a share is confirmed once a second.
    assert len(looks) <= 35
    assert ActionLimit.objects.using(place).get().revision - asked <= 8
    assert HistoryEntry.objects.using(place).filter(saga__in=sagas).count() == 31
    stuck.set()
    ended(*sagas)


def test_burst__waits_for_room(place: str, kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("only", Counter(0.01).do, handler={"max_concurrent": 1}))
    sagas = [Saga.objects.start(definition) for _ in range(8)]

    assert crew.burst() == 0

    assert all(fresh(saga).is_completed for saga in sagas)


def test_share__is_given_back(on_postgres: str, kit: Kit, crew: Crew) -> None:
    counter = Counter()
    definition = kit.define(kit.step("only", counter.do, handler={"max_concurrent": 2}))
    crew.start()
    ended(*[Saga.objects.start(definition) for _ in range(4)])

    wait_until(lambda: ActionLimit.objects.get().state["held"] == {}, within=5)


def overlap(program: Program) -> int:
    """The most attempts that ran at once, in all processes."""
    now = most = 0
    for line in sorted((program.files / "times").read_text().splitlines(), key=lambda line: float(line.split()[0])):
        now += int(line.split()[1])
        most = max(most, now)
    return most


def processes(program: Program) -> set[str]:
    path = program.files / "times"
    return {line.split()[2] for line in path.read_text().splitlines()} if path.exists() else set()


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_two_processes__never_more_at_once(on_pg: Program) -> None:
    for _ in range(2):
        on_pg.start("--threads", "6")
    wait_until(lambda: WorkerRow.objects.count() == 2, within=30, what="both processes")
    sagas: list[Saga] = []

    def both_have_worked() -> bool:
        # Whoever looks first has all of them in line: more come, until the other one has had its share.
        if lines(on_pg.files / "times") / 2 > len(sagas) - 10:
            sagas.extend(on_pg.saga("limited") for _ in range(20))
        return len(processes(on_pg)) == 2

    wait_until(both_have_worked, within=30, what="work of both processes")
    assert all(saga.is_completed for saga in ended(*sagas, within=60))
    assert overlap(on_pg) == 3


def test_process_killed__its_share_is_free_again(on_pg: Program) -> None:
    sagas = [on_pg.saga("limited", pause=0.2) for _ in range(12)]
    killed = on_pg.start("--threads", "6")
    wait_until(lambda: lines(on_pg.files / "times") >= 3, within=30)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)
    (on_pg.files / "times").unlink()

    on_pg.start("--threads", "6", SAGAS_LEASE="4")

    assert all(saga.is_completed for saga in ended(*sagas, within=60))
    assert overlap(on_pg) == 3


@pytest.mark.parametrize("on", ["on_pg", "on_lite"])
def test_code_of_today_decides(on: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(on)
    sagas = [program.saga("limited") for _ in range(6)]

    assert program.run("--burst", "--threads", "6") == 0

    assert all(fresh(saga).is_completed for saga in sagas)
    assert overlap(program) <= 3


def test_priority__higher_first(place: str, kit: Kit, crew: Crew) -> None:
    order: list[int] = []
    definition = kit.define(kit.step("only", lambda ctx: order.append(ctx.context["n"])))
    sagas = [
        Saga.objects.start(definition, context={"n": n}, priority=priority)
        for n, priority in enumerate((0, 0, -50, 10, 99, 10))
    ]

    assert crew.burst(threads=1) == 0

    assert all(fresh(saga).is_completed for saga in sagas)
    assert order == [4, 3, 5, 0, 1, 2]
