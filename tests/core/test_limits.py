"""Shares of a limit: never more than it allows, whoever asks, dies and comes back; and not less for ever."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.core.errors import DefinitionError
from sagas.core.limits import Ask, Limit, Rate, read_limit, settle

WORKERS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "rate"), [("50/s", Rate(50, 1.0)), ("100/min", Rate(100, 60.0)), ("1000/h", Rate(1000, 3600.0))]
)
def test_rate__as_it_is_written(text: str, rate: Rate) -> None:
    assert read_limit("action 'x'", None, text) == Limit(None, rate)


@pytest.mark.parametrize(
    "wrong", [(0, None), (-1, None), (True, None), (1.5, None), ("5", None), (None, "50"), (None, "0/s"), (None, 50)]
)
def test_limit__that_makes_no_sense__is_refused(wrong: tuple[object, object]) -> None:
    with pytest.raises(DefinitionError, match="action 'x': expected"):
        read_limit("action 'x'", *wrong)


def test_limit__none() -> None:
    assert read_limit("action 'x'", None, None) is None


def test_permits__what_is_free() -> None:
    limit = Limit(5)
    state, first = settle(limit, {}, WORKERS, Ask("a", 0, 3), 0)
    state, second = settle(limit, state, WORKERS, Ask("b", 0, 3), 0)

    assert (first.permits, second.permits) == (3, 2)


def test_permits__of_a_dead_worker__are_free() -> None:
    limit = Limit(5)
    state, _ = settle(limit, {}, WORKERS, Ask("a", 0, 5), 0)

    _, share = settle(limit, state, ["b"], Ask("b", 0, 5), 0)

    assert share.permits == 5


def test_permits__who_is_taken_for_dead__gets_none() -> None:
    _, share = settle(Limit(5), {}, ["b"], Ask("a", 3, 5), 0)

    assert share.permits == 0


def test_permits__one_has_all__it_is_told_to_leave_some() -> None:
    limit = Limit(4)
    state, _ = settle(limit, {}, WORKERS, Ask("a", 0, 4), 0)
    state, short = settle(limit, state, WORKERS, Ask("b", 0, 4), 0)
    state, told = settle(limit, state, WORKERS, Ask("a", 4, 4), 0)
    state, left = settle(limit, state, WORKERS, Ask("a", 2, 4), 0)
    state, given_now = settle(limit, state, WORKERS, Ask("b", 0, 4), 0)

    assert (short.permits, told.permits, told.fair) == (0, 4, 2)
    assert (left.permits, given_now.permits) == (2, 2)


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(WORKERS), st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=40),
)
def test_permits__all_together__never_more_than_the_limit(most: int, asked: list[tuple[str, int, int, bool]]) -> None:
    limit, state, held = Limit(most), {}, dict.fromkeys(WORKERS, 0)
    for worker, keeps, wants, dies in asked:
        if dies:
            held[worker] = 0
            live = [name for name in WORKERS if name != worker]
            other = live[keeps % 2]
            state, share = settle(limit, state, live, Ask(other, held[other], max(held[other], wants)), 0)
            held[other] = share.permits
        else:
            keep = min(keeps, held[worker])
            state, share = settle(limit, state, WORKERS, Ask(worker, keep, max(keep, wants)), 0)
            assert share.permits >= keep
            held[worker] = share.permits
        assert sum(held.values()) <= most


@given(
    st.integers(1, 8),
    st.sampled_from([1.0, 60.0]),
    st.lists(st.tuples(st.floats(0, 0.7), st.integers(0, 9), st.floats(0, 1)), max_size=60),
)
def test_begins__in_any_period__never_more_than_the_rate(
    count: int, period: float, asked: list[tuple[float, int, float]]
) -> None:
    rate = Rate(count, period)
    state, now, begun = {}, 1000.0, []
    for wait, wants, late in asked:
        now += wait * period
        state, share = settle(Limit(None, rate), state, WORKERS, Ask("a", begins=wants), now)
        begun += [now + late * rate.slack] * share.begins

    window: deque[float] = deque()
    for at in sorted(begun):
        window.append(at)
        while window[0] <= at - period:
            window.popleft()
        assert len(window) <= count


def test_begins__go_on_when_their_time_has_come() -> None:
    rate = Rate(10, 1.0)
    state, now, begun = {}, 0.0, 0
    while now < 10:
        state, share = settle(Limit(None, rate), state, WORKERS, Ask("a", begins=4), now)
        begun += share.begins
        now += max(share.again_in, 0.001)

    assert 80 <= begun <= 100
    assert len(state["begun"]) <= 110
