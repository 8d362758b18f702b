"""The project's log format: one line per record, what `extra=` adds written as key=value."""

import json
import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: Objects that libraries attach to records; they say nothing in a line.
_NOISE = frozenset({"request", "status_code", "data"})


class LineFormatter(logging.Formatter):
    """`2026-11-21 09:30:00,123 INFO sagas.worker step completed saga_id=01J… step=charge_payment attempt=1`.

    Line breaks and control characters are escaped, so that nothing from outside can forge a record. The
    traceback of an exception follows on lines of its own.
    """

    default_time_format = "%Y-%m-%d %H:%M:%S"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name is logging's)
        line = super().formatMessage(record)
        extras = "".join(f" {key}={_shown(value)}" for key, value in _extras(record))
        return _escaped(line) + extras


def _extras(record: logging.LogRecord) -> list[tuple[str, object]]:
    hidden = _STANDARD | _NOISE
    return [(key, value) for key, value in vars(record).items() if key not in hidden and not key.startswith("_")]


def _shown(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else json.dumps(text)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
