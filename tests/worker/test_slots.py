"""Slots: one per thread, some ahead while handlers are quick, one kept for compensations."""

from sagas.definitions.ids import new_id
from sagas.worker.run import Run, Stage
from sagas.worker.slots import AHEAD, MOST_AHEAD, Slots
from tests.store.threads import at_once


def busy(threads: int, seconds: float) -> Slots:
    """Slots of a process whose handlers have taken this long lately."""
    slots = Slots(threads)
    for _ in range(200):
        slots.observe(seconds)
    return slots


def test_slow_handlers__as_many_as_threads() -> None:
    slots = busy(4, 1.0)

    assert slots.capacity == 4
    assert slots.offer() == (4, 3, 1)


def test_quick_handlers__what_the_threads_get_through_in_a_moment() -> None:
    assert busy(4, AHEAD * 0.49).capacity == 4 + 8
    assert busy(4, 1e-9).capacity == 4 + MOST_AHEAD


def test_before_anything_is_known__as_many_as_threads() -> None:
    assert Slots(8).capacity == 8


def test_one_thread__keeps_none_back() -> None:
    assert busy(1, 1.0).offer() == (1, 1, 1)


def test_one_slot__is_kept_for_compensations() -> None:
    slots = busy(3, 1.0)
    slots.take(undo=False, crashed=False)
    slots.take(undo=False, crashed=False)

    assert slots.offer() == (1, 0, 1)


def test_compensations__may_take_all() -> None:
    slots = busy(3, 1.0)
    for _ in range(3):
        slots.take(undo=True, crashed=False)

    assert slots.offer() == (0, 0, 1)


def test_actions__only_use_what_is_free() -> None:
    slots = busy(3, 1.0)
    slots.take(undo=True, crashed=False)
    slots.take(undo=True, crashed=False)

    assert slots.offer() == (1, 1, 1)


def test_crashed__one_at_a_time() -> None:
    slots = busy(4, 1.0)
    slots.take(undo=False, crashed=True)
    assert slots.offer()[2] == 0

    slots.free(undo=False, crashed=True)
    assert slots.offer() == (4, 3, 1)


def test_never_negative__when_handlers_become_slow() -> None:
    slots = busy(2, 1e-6)
    for _ in range(50):
        slots.take(undo=False, crashed=False)
    for _ in range(100):
        slots.observe(5.0)

    assert slots.offer()[:2] == (0, 0)


def test_counts__from_many_threads() -> None:
    slots = busy(4, 1.0)

    def churn() -> None:
        for _ in range(500):
            slots.take(undo=False, crashed=True)
            slots.observe(1.0)
            slots.free(undo=False, crashed=True)

    at_once(churn, churn, churn, churn)

    assert slots.offer() == (4, 3, 1)


class FakeAttempt:
    """All that a run asks of its attempt."""

    worker = new_id()
    timeout = 5.0


def make_run() -> Run:
    return Run(FakeAttempt(), 0.0)  # type: ignore[arg-type]


def test_run__one_of_many_gets_to_move_it() -> None:
    for _ in range(20):
        run = make_run()
        moved = at_once(*[lambda run=run: run.move(Stage.QUEUED, Stage.ENDED)] * 4)
        assert sorted(moved) == [False, False, False, True]


def test_run__overdue_only_while_it_runs() -> None:
    run = make_run()
    assert not run.overdue(100.0)

    assert run.begin(10.0)
    assert not run.overdue(15.0)
    assert run.overdue(15.1)
    assert run.move(Stage.RUNNING, Stage.ENDED)
    assert not run.overdue(100.0)


def test_run__begins_once() -> None:
    run = make_run()

    assert run.begin(1.0)
    assert not run.begin(2.0)
