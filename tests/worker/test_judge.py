"""Who is dead? A beat that stands still for a lease, by the judge's own clock."""

from uuid import UUID

import pytest

from sagas.definitions.ids import new_id
from sagas.worker.judge import Judge

LEASE = 10.0


@pytest.fixture
def judge() -> Judge:
    return Judge(LEASE)


@pytest.fixture
def worker() -> UUID:
    return new_id()


def watch(judge: Judge, worker: UUID, beats: list[int], *, every: float = 1.0, start: float = 0.0) -> list[bool]:
    """One look after the other; whether the worker was found dead at each."""
    return [judge.look([(worker, beat, False)], start + every * n) == [worker] for n, beat in enumerate(beats)]


def test_beating__lives(judge: Judge, worker: UUID) -> None:
    assert not any(watch(judge, worker, list(range(100))))


def test_standing_still__dead_after_a_lease(judge: Judge, worker: UUID) -> None:
    found = watch(judge, worker, [7] * 15)

    assert found == [False] * 10 + [True] * 5


def test_standing_still_and_going_on__lives(judge: Judge, worker: UUID) -> None:
    assert not any(watch(judge, worker, [7] * 9 + [8] * 9 + [9] * 9))


def test_counter_that_went_back__is_a_sign_of_life(judge: Judge, worker: UUID) -> None:
    assert not any(watch(judge, worker, [7] * 9 + [3] * 9))


def test_marked__dead_at_once(judge: Judge, worker: UUID) -> None:
    assert judge.look([(worker, 1, True)], 0.0) == [worker]


def test_judge_that_has_just_begun__knows_nothing_yet(judge: Judge, worker: UUID) -> None:
    # However long the beat has stood still before.
    assert judge.look([(worker, 7, False)], 1e9) == []


def test_judge_that_could_not_look__starts_watching_anew(judge: Judge, worker: UUID) -> None:
    # The database was gone for a minute: nobody could beat, and nobody is dead for it.
    watch(judge, worker, [7] * 9)

    found = watch(judge, worker, [7] * 12, start=69.0)

    assert found == [False] * 10 + [True] * 2


def test_worker_that_comes_back_under_its_id__is_new(judge: Judge, worker: UUID) -> None:
    watch(judge, worker, [7] * 9)
    assert judge.look([], 9.0) == []

    assert judge.look([(worker, 7, False)], 10.0) == []


def test_several__each_for_itself(judge: Judge) -> None:
    still, alive, marked = new_id(), new_id(), new_id()

    found = [judge.look([(still, 7, False), (alive, n, False), (marked, 1, n > 5)], float(n)) for n in range(12)]

    assert found[5] == []
    assert found[6] == [marked]
    assert found[11] == [still, marked]
