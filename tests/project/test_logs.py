"""The log format: one line per record."""

import logging

from sagaproject.logs import LineFormatter


def line(message: str, **extra: object) -> str:
    record = logging.makeLogRecord({"name": "sagas.worker", "levelname": "INFO", "msg": message, **extra})
    return LineFormatter().format(record)


def test_format__writes_extras_as_key_and_value():
    assert line("step completed", saga_id="01J", attempt=2).endswith(
        "INFO sagas.worker step completed saga_id=01J attempt=2"
    )


def test_format__quotes_values_that_would_not_be_one_word():
    assert line("x", reason='card "declined" now').endswith(r'x reason="card \"declined\" now"')


def test_format__nothing_from_outside_starts_a_line_of_its_own():
    found = line("name \r\n2026 ERROR forged \x1b[31m", step="a\nERROR forged")

    assert len(found.splitlines()) == 1
    assert "\x1b" not in found


def test_format__a_traceback_follows_on_its_own_lines():
    try:
        raise ValueError("what it was")
    except ValueError as exc:
        found = line("handler failed", exc_info=(type(exc), exc, exc.__traceback__))

    assert found.splitlines()[0].endswith("handler failed")
    assert found.splitlines()[-1] == "ValueError: what it was"
