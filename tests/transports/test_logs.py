"""What repeats is counted, not written each time."""

import logging

import pytest

from sagas.transports.logs import BoundedLog


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def log(now: list[float]) -> BoundedLog:
    return BoundedLog(logging.getLogger("tests.bounded"), every=60, clock=lambda: now[0])


def test_write__the_same_again_is_counted_and_told_later(
    log: BoundedLog, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        log.write(logging.WARNING, "down", "broker down: %s", "refused")
    now[0] += 60
    log.write(logging.WARNING, "down", "broker down: %s", "refused")

    assert caplog.messages == [
        "broker down: refused",
        "broker down: refused (and 99 more since the last such line)",
    ]
    assert caplog.records[1].__dict__["repeated"] == 99


def test_write__other_keys_are_not_held_back(log: BoundedLog, caplog: pytest.LogCaptureFixture) -> None:
    log.write(logging.WARNING, "down", "down")
    log.write(logging.WARNING, "up", "up")

    assert caplog.messages == ["down", "up"]
    assert [record.__dict__["action"] for record in caplog.records] == ["down", "up"]


def test_write__a_traceback_comes_with_the_first_line_only(log: BoundedLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        try:
            raise KeyError("boom")
        except KeyError:
            log.write(logging.ERROR, "fault", "a fault", exc_info=True)

    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None
