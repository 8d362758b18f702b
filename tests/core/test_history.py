"""History entries: data that folds back into the rows."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from sagas.core import triggers as t
from sagas.core.history import AT_ONCE, SAGA_FIELDS, Entry, changes, fold, step_changes
from sagas.core.rows import SagaRow, StepRow, in_order
from sagas.core.start import opening
from sagas.core.states import Hold, SagaState, StepStatus, Wait

from .build import ANNA, EPOCH, SAGA, SECOND, Driver, line


def told(driver: Driver, entries: list[Entry] | None = None) -> tuple[SagaRow, list[StepRow]]:
    saga, steps = fold(driver.saga, driver.history if entries is None else entries)
    saga.wake_at = driver.saga.wake_at
    return saga, steps


def busy() -> Driver:
    """A saga to which much has happened."""
    driver = Driver(line(3))
    driver.run(t.Completed)
    driver.wait(3)
    driver.claim()
    driver.ask(t.WorkerLost(ANNA))
    driver.end(t.InDoubt, driver.claim(), code="timeout", message="slow", thread_alive=True)
    driver.wait(100)
    driver.ask(t.FlagStale())
    driver.ask(t.Compensate("ann", "enough"))
    driver.ask(t.WorkerLost(ANNA))
    driver.run(t.Rejected)
    return driver


def test_fold__the_rows_themselves():
    driver = busy()

    assert told(driver) == driver.snapshot()


def test_fold__after_a_way_through_json():
    """As it is stored and read again."""
    driver = busy()
    entries = [replace(entry, data=json.loads(json.dumps(entry.data))) for entry in driver.history]

    assert told(driver, entries) == driver.snapshot()


def test_fold__every_field_of_a_row():
    """A field that the history forgets would be lost by a restore."""
    before, now = StepRow(0), EPOCH + SECOND
    other = {"status": StepStatus.RUNNING, "hold": Hold.DEBT, "doubt": True, "waits": Wait.SIGNAL, "opened": True}
    changed = StepRow(0)
    for field in fields(StepRow):
        if field.name == "position":
            continue
        value = other.get(field.name)
        if value is None and field.name.endswith("_at"):
            value = EPOCH
        if field.name == "held_since":  # follows from the hold
            value = now
        if value is None and field.name.endswith("_worker"):
            value = ANNA
        if value is None:
            value = "text" if field.type == "str" else 7
        setattr(changed, field.name, value)
    saga, first = opening(SAGA, line(1), True, EPOCH, EPOCH)

    data = changes(saga, saga, step_changes([(before, changed)], now), now)
    _, steps = fold(saga, [first, Entry(2, "x", now, data=json.loads(json.dumps(data)))])

    assert steps == [changed]
    assert not any(getattr(changed, field.name) == getattr(before, field.name) for field in fields(StepRow)[1:])


def test_fold__every_field_of_a_saga_but_those_that_are_not_history():
    known = {field.name for field in fields(SagaRow)}

    assert known - set(SAGA_FIELDS) == {
        *("id", "graph", "rollback", "revision", "wake_at", "updated_at"),
        *("parent", "parent_step", "parent_round", "depth", "lock_key"),
    }


def test_fold__notes_are_passed_over():
    driver = busy()
    note = Entry(None, "late_completed", EPOCH, data={"steps": {"0": {"status": "failed"}}})

    assert told(driver, [*driver.history, note]) == driver.snapshot()


def test_fold__a_saga_without_steps_is_complete():
    saga, first = opening(SAGA, line(0), True, EPOCH, EPOCH + SECOND)

    assert fold(saga, [first]) == (saga, [])
    assert (saga.state, saga.completed_at, saga.wake_at) == (SagaState.COMPLETED, EPOCH, None)


@pytest.mark.parametrize("seqs", [[], [2], [1, 3], [1, 1], [2, 1], [0, 1]])
def test_fold__gaps_are_named(seqs: list[int]):
    saga, first = opening(SAGA, line(1), True, EPOCH, EPOCH)

    with pytest.raises(ValueError, match=re.escape(f"expected history 1..{len(seqs)}, got {seqs}")):
        fold(saga, [replace(first, seq=seq) for seq in seqs])


def test_fold__what_a_later_version_tells_of_the_saga_is_passed_over():
    driver = busy()
    driver.history[1] = replace(driver.history[1], data={**(driver.history[1].data or {}), "mood": "good"})

    assert told(driver) == driver.snapshot()


def test_fold__an_unknown_state_is_an_error():
    saga, first = opening(SAGA, line(1), True, EPOCH, EPOCH)

    with pytest.raises(ValueError, match="nonsense"):
        fold(saga, [replace(first, data={"state": "nonsense"})])


def test_changes__times_equal_to_the_entrys_are_not_repeated():
    driver = Driver(line(1))
    driver.run(t.Completed)

    data = driver.history[-1].data

    assert data is not None
    assert data["completed_at"] is AT_ONCE
    assert data["steps"]["0"]["executed_at"] is AT_ONCE


def test_changes__other_times_are_whole():
    driver = Driver(line(1))
    driver.run(t.InDoubt)

    data = driver.history[-1].data

    assert data is not None
    assert data["steps"]["0"]["due_at"] == (EPOCH + timedelta(seconds=10)).isoformat()


def test_entry__of_an_attempt_names_step_attempt_and_round():
    driver = Driver(line(1))
    driver.end(t.InDoubt, driver.claim(), final=True)
    driver.run(t.HandedBack, t.Completed)

    seen = [(entry.kind, entry.position, entry.attempt, entry.round) for entry in driver.history]

    assert seen == [
        ("started", None, 0, 0),
        ("claimed", 0, 1, 1),
        ("in_doubt", 0, 1, 1),
        ("claimed", 0, 1, 1),
        ("handed_back", 0, 1, 1),
        ("claimed", 0, 2, 1),
        ("completed", 0, 2, 1),
    ]


def test_entry__of_a_completed_action_counts_the_actions_attempts():
    driver = Driver(line(2))
    driver.run(t.HandedBack, t.Completed)

    assert driver.history[-1].attempt == 2


def test_in_order__by_position():
    assert [row.position for row in in_order([StepRow(2), StepRow(0), StepRow(1)])] == [0, 1, 2]
