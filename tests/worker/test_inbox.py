"""The committer's inbox: results first, looks as there are slots, groups bounded in number and bytes."""

import threading

import pytest

from sagas.core import triggers as t
from sagas.definitions.ids import new_id
from sagas.store.base import Payload, Submission
from sagas.worker.inbox import BUSY_WAITS, MOST, MOST_BYTES, Inbox, Item
from tests.store.threads import in_thread


def look(*, undo: bool = False) -> Item:
    return Item(Submission(new_id(), t.Look()), undo=undo)


def result(size: int = 0) -> Item:
    return Item(Submission(new_id(), t.Completed(0, new_id(), 1), Payload("x" * size)))


class Clock:
    """Stands still until it is set; waiting moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(inbox: Inbox, free: int = 100, for_actions: int | None = None, clock: Clock | None = None) -> list[Item]:
    slots = (free, free if for_actions is None else for_actions)
    return inbox.take(lambda: slots, clock or Clock(), 0.0)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def put(inbox: Inbox, *items: Item) -> tuple[Item, ...]:
    for item in items:
        inbox.put(item)
    return items


def test_take__results_then_undos_then_looks(inbox: Inbox) -> None:
    forward, undo, done = put(inbox, look(), look(undo=True), result())

    assert take(inbox) == [done, undo, forward]
    assert inbox.idle


def test_take__in_the_order_of_arrival(inbox: Inbox) -> None:
    items = put(inbox, *(result() for _ in range(5)))

    assert take(inbox) == list(items)


def test_take__as_many_looks_as_there_are_slots(inbox: Inbox) -> None:
    items = put(inbox, *(look() for _ in range(5)))

    assert take(inbox, 2) == list(items[:2])
    assert take(inbox, 0) == []
    assert inbox.waiting_looks == 3
    assert not inbox.idle


def test_take__results_never_wait_for_slots(inbox: Inbox) -> None:
    (done, _) = put(inbox, result(), look())

    assert take(inbox, 0) == [done]


def test_take__a_result_may_go_on_with_its_saga(inbox: Inbox) -> None:
    # Its slot is spoken for: two slots, one result, so one look.
    done, first, _ = put(inbox, result(), look(), look())

    assert take(inbox, 2) == [done, first]


def test_take__one_slot_is_kept_for_undos(inbox: Inbox) -> None:
    forward, undo = put(inbox, look(), look(undo=True))

    assert take(inbox, 1, 0) == [undo]
    assert take(inbox, 1, 0) == []
    assert take(inbox, 1, 1) == [forward]


def test_take__bounded_in_number(inbox: Inbox) -> None:
    put(inbox, *(result() for _ in range(MOST + 5)))

    assert len(take(inbox)) == MOST
    assert len(take(inbox)) == 5


def test_take__bounded_in_bytes_but_never_stuck(inbox: Inbox) -> None:
    put(inbox, result(MOST_BYTES * 2), result(MOST_BYTES // 2), result(MOST_BYTES // 2), result())

    assert [len(take(inbox)) for _ in range(4)] == [1, 2, 1, 0]


def test_later__not_before_its_time_and_each_wait_is_longer(inbox: Inbox) -> None:
    clock, item = Clock(), look()
    waits = []
    for _ in range(len(BUSY_WAITS) + 1):
        inbox.put_later(item, clock.now)
        assert take(inbox, clock=clock) == []
        assert not inbox.idle
        before = clock.now
        while not take(inbox, clock=clock):
            clock.now += 0.01
        waits.append(round(clock.now - before, 2))

    assert waits == [*BUSY_WAITS, BUSY_WAITS[-1]]


def test_later__earliest_first(inbox: Inbox) -> None:
    clock, slow, quick = Clock(), result(), result()
    slow.tries = 3
    inbox.put_later(slow, 0.0)
    inbox.put_later(quick, 0.0)
    clock.now = 1.0

    assert take(inbox, clock=clock) == [quick, slow]


def test_put_back__first_in_line_in_the_same_order(inbox: Inbox) -> None:
    first, second, third = put(inbox, result(), result(), result())
    taken = take(inbox)

    inbox.put(fourth := result())
    inbox.put_back(taken)

    assert take(inbox) == [first, second, third, fourth]


def test_drop_looks__leaves_the_results(inbox: Inbox) -> None:
    forward, undo, done = put(inbox, look(), look(undo=True), result())

    assert inbox.drop_looks() == [undo, forward]
    assert take(inbox) == [done]


@pytest.mark.parametrize("event", ["put", "nudge", "close", "put_later"])
def test_take__waits_until_something_happens(inbox: Inbox, event: str) -> None:
    asked = threading.Event()

    def slots() -> tuple[int, int]:
        return 1, 1

    def clock() -> float:
        asked.set()
        import time

        return time.monotonic()

    waiting = in_thread(lambda: inbox.take(slots, clock, 20.0))
    assert asked.wait(5)
    item = result()
    {
        "put": lambda: inbox.put(item),
        "nudge": inbox.nudge,
        "close": inbox.close,
        "put_later": lambda: inbox.put_later(item, clock()),
    }[event]()

    assert waiting.result(5) == ([item] if event.startswith("put") else [])


def test_take__comes_back_empty_after_the_timeout(inbox: Inbox) -> None:
    clock = Clock()

    def tick() -> float:
        clock.now += 0.01
        return clock.now

    assert inbox.take(lambda: (1, 1), tick, 0.05) == []
