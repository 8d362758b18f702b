"""The clock that a test moves, and `drain`, which does not move it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sagas import Rejected, Retryable
from sagas.testing import Clock, run_saga

from . import kit

CONTEXT = {"total": 30}


def test_advance__by_words_or_by_a_timedelta():
    clock = Clock()
    begin = clock.now

    assert clock.advance(hours=1, minutes=30) - begin == timedelta(minutes=90)
    assert clock.advance(timedelta(days=1)) == clock() == clock.now
    assert clock.now - begin == timedelta(days=1, minutes=90)


def test_advance__never_back():
    with pytest.raises(ValueError, match="expected a step forward in time, got -1 day"):
        Clock().advance(hours=-1)


def test_drain__stops_at_a_wait_and_goes_on_when_it_is_over():
    run = run_saga(kit.Order, CONTEXT, finish=False, fail={"charge": [Retryable("busy", after=3600)]})
    begin = run.clock.now

    assert run.drain().state == "started"
    assert (run.called, run.clock.now) == (["reserve", "check", "charge"], begin)

    run.clock.advance(minutes=59)
    assert run.drain().called == ["reserve", "check", "charge"]

    run.clock.advance(minutes=1)
    assert run.drain().state == "completed"
    assert run.called == ["reserve", "check", "charge", "charge", "book"]


def test_drain__runs_to_the_end_where_nothing_waits():
    run = run_saga(kit.Order, CONTEXT, finish=False, fail={"book": Rejected("full")})

    assert run.drain().state == "compensated"


def test_drain__of_what_is_held_or_has_ended_does_nothing():
    held = run_saga(kit.Order, CONTEXT, fail={"book": Rejected("full"), "reserve.undo": Rejected("no")})
    ended = run_saga(kit.Order, CONTEXT)

    for run in (held, ended):
        before = run.revision
        run.clock.advance(days=30)
        assert run.drain().revision == before


def test_finish__after_the_clock_was_moved_by_hand():
    run = run_saga(kit.Order, CONTEXT, finish=False, fail={"charge": [Retryable("busy", after=60)]})
    begin = run.clock.now
    run.drain().clock.advance(days=1)

    assert run.finish().state == "completed"
    assert run.clock.now - begin == timedelta(days=1), "what is overdue is not waited for"


def test_deadline_of_a_call__follows_the_clock():
    run = run_saga(kit.Order, CONTEXT, finish=False)
    run.clock.advance(days=400)
    run.finish()

    assert kit.SEEN[0].deadline - run.clock.now == timedelta(seconds=60)  # type: ignore[operator]
