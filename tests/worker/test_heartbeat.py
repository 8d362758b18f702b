"""Long handlers: progress that is seen, and heartbeats that stop."""

import threading
import time
from typing import Any

from sagas import RetryPolicy, StepContext
from sagas.models import HistoryEntry, Saga, Step
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh


def progress_of(saga: Saga) -> float | None:
    found: Step = Step.objects.using(saga._state.db).get(saga=saga)
    return found.current_progress


def test_progress__is_seen_while_it_runs__and_is_no_transition(place: str, kit: Kit, crew: Crew) -> None:
    steps, go_on = [0.4, 0.9, 7], threading.Event()

    def long(ctx: StepContext) -> None:
        for progress in steps:
            ctx.heartbeat(progress=progress)
            assert go_on.wait(10)
            go_on.clear()

    saga = Saga.objects.start(kit.define(kit.step("only", long)))
    assert progress_of(saga) is None
    crew.start()

    for expected in (0.4, 0.9, 1.0):
        wait_until(lambda expected=expected: progress_of(saga) == expected)
        go_on.set()

    assert ended(saga)[0].revision == 3
    assert progress_of(saga) is None


def test_progress__of_an_earlier_attempt__is_not_shown(place: str, kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []
    written = threading.Event()

    def long(ctx: StepContext) -> None:
        if ctx.attempt == 1:
            ctx.heartbeat(0.5)
            assert written.wait(10)
            raise RuntimeError("again")
        seen.append(progress_of(saga))

    saga = Saga.objects.start(kit.define(kit.step("only", long)))
    crew.start()
    wait_until(lambda: progress_of(saga) == 0.5)
    written.set()

    assert ended(saga)[0].is_completed
    assert seen == [None]


def test_progress__is_written_once_per_change(place: str, kit: Kit, crew: Crew) -> None:
    go_on = threading.Event()

    def long(ctx: StepContext) -> None:
        while not go_on.wait(0.001):
            ctx.heartbeat(0.5)

    saga = Saga.objects.start(kit.define(kit.step("only", long)))
    worker = crew.start()
    wait_until(lambda: progress_of(saga) == 0.5)

    (run,) = worker.runs.values()
    assert run.told == 0.5
    Step.objects.using(place).filter(saga=saga).update(progress=0.1)
    time.sleep(0.3)
    assert progress_of(saga) == 0.1
    go_on.set()
    ended(saga)


def test_heartbeat_lost__the_attempt_is_in_doubt__and_nothing_starts_before_its_thread_is_gone(
    place: str, kit: Kit, crew: Crew
) -> None:
    running: list[int] = []
    most: list[int] = []
    go_on = threading.Event()

    def long(ctx: StepContext) -> dict[str, int]:
        running.append(ctx.attempt)
        most.append(len(running))
        if ctx.attempt == 1:
            for _ in range(5):
                ctx.heartbeat()
                time.sleep(0.1)
            assert go_on.wait(10)  # beats no more
        running.remove(ctx.attempt)
        return {"attempt": ctx.attempt}

    definition = kit.define(kit.step("only", long, handler={"heartbeat_timeout": 0.3, "timeout": 60}))
    saga = Saga.objects.start(definition)
    crew.start()

    row = Step.objects.using(place)
    wait_until(lambda: row.get(saga=saga).error_code == "heartbeat_lost")
    found = row.get(saga=saga)
    assert (found.status, found.doubt, found.stale_worker is not None) == ("pending", True, True)
    assert "no heartbeat for 0.3 s" in found.error_message
    time.sleep(0.3)
    assert running == [1]
    go_on.set()

    assert ended(saga)[0].is_completed
    assert row.get(saga=saga).output == {"attempt": 2}
    assert max(most) == 1


def test_heartbeat__that_beats__outlives_its_limit(place: str, kit: Kit, crew: Crew) -> None:
    def long(ctx: StepContext) -> None:
        for _ in range(8):
            time.sleep(0.1)
            ctx.heartbeat()

    saga = Saga.objects.start(kit.define(kit.step("only", long, heartbeat_timeout=0.4)))

    crew.burst()

    assert fresh(saga).is_completed
    assert Step.objects.using(place).get(saga=saga).attempt == 1


def test_heartbeat_lost__in_a_compensation__is_tried_again(place: str, kit: Kit, crew: Crew) -> None:
    def undo(ctx: StepContext) -> None:
        if ctx.attempt == 1:
            time.sleep(0.6)

    def fail(ctx: StepContext) -> None:
        raise RuntimeError("as the test wants")

    name = kit.compensation("slowly", undo, heartbeat_timeout=0.2, retry=RetryPolicy(base=0))
    from sagas import step

    first = step("first", action=kit.action("first"), compensation=name)
    saga = Saga.objects.start(kit.define(first, kit.step("second", fail, undo=None, retry=RetryPolicy(max_attempts=1))))

    crew.burst()

    assert fresh(saga).is_compensated
    kinds = HistoryEntry.objects.using(place).filter(saga=saga, data__icontains="heartbeat_lost")
    assert kinds.count() == 1
