"""Retry policies: how long to wait, the same for the same seed, never longer than the cap."""

from __future__ import annotations

import math
from datetime import timedelta
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.core.errors import DefinitionError
from sagas.core.retry import RetryPolicy


def seconds(policy: RetryPolicy, attempt: int, seed: str = "s") -> float:
    return policy.delay(attempt, seed).total_seconds()


def test_delay__doubles_up_to_the_cap():
    policy = RetryPolicy(base=1, factor=2, cap=10, jitter=False)

    assert [seconds(policy, attempt) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_delay__before_any_attempt_is_the_base():
    assert seconds(RetryPolicy(base=3, jitter=False), 0) == 3


def test_delay__no_wait():
    assert seconds(RetryPolicy(base=0), 5) == 0


@pytest.mark.parametrize("factor", [2, 2.0, 3, 10**8])
def test_delay__a_number_out_of_range_is_the_cap(factor: float):
    assert seconds(RetryPolicy(factor=factor, cap=300, jitter=False), 10**7) == 300


def test_delay__the_default_is_issues():
    policy = RetryPolicy()

    assert (policy.max_attempts, policy.base, policy.factor, policy.jitter) == (3, 1.0, 2.0, True)


def test_jitter__same_seed_same_wait():
    policy = RetryPolicy()

    assert policy.delay(3, "saga:0:do") == policy.delay(3, "saga:0:do")
    assert len({policy.delay(3, f"saga:{n}:do") for n in range(100)}) > 95
    assert policy.delay(1, "saga") * 2 != policy.delay(2, "saga")


def test_jitter__is_full():
    """Between nothing and all of it, evenly: Brooker, "Exponential Backoff And Jitter"."""
    found = [seconds(RetryPolicy(base=8), 1, f"01J{n}:{n % 3}:do") for n in range(4000)]

    assert 0 <= min(found) < 0.1
    assert 7.9 < max(found) <= 8
    assert mean(found) == pytest.approx(4, rel=0.03)
    assert mean(value < 2 for value in found) == pytest.approx(0.25, rel=0.15)


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 10**9),
        base=st.floats(0, 1e8),
        factor=st.floats(0, 1e8) | st.integers(0, 10**8),
        cap=st.floats(0, 1e8),
        jitter=st.booleans(),
    ),
    st.integers(0, 10**9),
    st.text(max_size=40),
)
def test_delay__never_negative_never_beyond_the_cap(policy: RetryPolicy, attempt: int, seed: str):
    assert timedelta(0) <= policy.delay(attempt, seed) <= timedelta(seconds=policy.cap)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, "3", None])
def test_policy__needs_an_attempt(attempts: Any):
    with pytest.raises(DefinitionError, match=r"^RetryPolicy: expected max_attempts of 1 or more, got"):
        RetryPolicy(max_attempts=attempts)


@pytest.mark.parametrize("field", ["base", "factor", "cap"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, 1e9, "1", None])
def test_policy__numbers_within_reason(field: str, value: Any):
    with pytest.raises(DefinitionError, match=f"^RetryPolicy: expected {field} as a number from 0 to 1e9, got"):
        RetryPolicy(**{field: value})


def test_json__there_and_back():
    policy = RetryPolicy(5, 0.5, 3.0, 60.0, False)

    assert RetryPolicy.from_json(policy.to_json()) == policy
    assert RetryPolicy.from_json({**policy.to_json(), "later": 1}) == policy
    assert RetryPolicy.from_json({}) == RetryPolicy()
