"""What a history entry changed, in words.

Entries are data of any age and version: what is odd or unknown is shown as it is, and never hides the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from . import words
from .cells import stamp

#: The engine's own bookkeeping; what matters of it is told by the entry's kind and attempt.
_SILENT = frozenset(
    {
        "attempt",
        "undo_attempt",
        "tries",
        "undo_tries",
        "claim_worker",
        "claim_token",
        "claimed_at",
        "stale_worker",
        "stale_token",
        "started_at",
        "executed_at",
        "compensated_at",
        "completed_at",
        "error_message",
        "worker",
        "token",
        "undo",
        "steps",
        "undo_started_at",
        "opened",
        "answer",
        "ok",
        "since",
    }
)


def sentences(changed: object, names: Sequence[str]) -> list[str]:
    """One sentence per change; `names` are the saga's steps in their order."""
    if not isinstance(changed, Mapping):
        return [str(changed)] if changed else []
    found = _told(changed, _OF_SAGA)
    steps = changed.get("steps")
    for position, diff in steps.items() if isinstance(steps, Mapping) else ():
        told = _told(diff, _OF_STEP) if isinstance(diff, Mapping) else [str(diff)]
        if told:
            found.append(f"{step_name(position, names)}: {', '.join(told)}")
    return found


def step_name(position: object, names: Sequence[str]) -> str:
    """The name of the step at a position, as far as there is one."""
    text = str(position)
    known = text.isascii() and text.isdecimal() and len(text) < 5 and int(text) < len(names)
    return names[int(text)] if known else text


def _told(changed: Mapping[str, Any], phrases: Mapping[str, Callable[[Any], str]]) -> list[str]:
    return [text for text in _phrases(changed, phrases) if text]


def _phrases(changed: Mapping[str, Any], phrases: Mapping[str, Callable[[Any], str]]) -> Iterator[str]:
    for field, phrase in phrases.items():
        if field in changed:
            yield phrase(changed[field])
    for field, value in changed.items():
        if field not in phrases and field not in _SILENT:
            yield f"{field}: {value}"


def _attention(value: Any) -> str:
    if not value:
        return gettext("needs no attention any more")
    return gettext("needs attention: %(why)s") % {"why": words.hold_words(str(value))}


def _hold(value: Any) -> str:
    return gettext("held: %(why)s") % {"why": words.hold_words(str(value))} if value else gettext("not held any more")


def _error(value: Any) -> str:
    return gettext("error %(code)s") % {"code": value} if value else ""


def _number(position: Any) -> str:
    """Positions begin with 0, numbers with 1."""
    return str(position + 1 if isinstance(position, int) else position)


def _crashes(value: Any) -> str:
    return gettext("workers lost: %(count)s") % {"count": value} if value else ""


def _waits(value: Any) -> str:
    return words.wait_words(str(value)) if value else gettext("waits no longer")


def _approved(value: Any) -> str:
    return gettext("approved by %(names)s") % {"names": ", ".join(str(value).split("\n"))} if value else ""


def _owner(value: Any) -> str:
    return gettext("looked after by %(name)s") % {"name": value} if value else gettext("looked after by nobody")


def _due(value: Any) -> str:
    """`true` stands for the entry's own time, null for no waiting."""
    if not isinstance(value, str):
        return ""
    try:
        at = parse_datetime(value)
    except ValueError:
        at = None
    return gettext("next attempt at %(time)s") % {"time": stamp(at) if at and at.tzinfo else value}


_OF_SAGA: dict[str, Callable[[Any], str]] = {
    "places": lambda value: ", ".join(map(str, value)) if isinstance(value, list) else str(value),
    "state": lambda value: gettext("the saga is %(state)s") % {"state": words.state_words(str(value))},
    "attention": _attention,
    "stale_since": lambda value: gettext("stale") if value else gettext("not stale any more"),
    "paused_at": lambda value: gettext("paused") if value else gettext("resumed"),
    "deadline_at": lambda value: "",
    "overdue_at": lambda value: gettext("deadline missed") if value else gettext("not overdue any more"),
    "rewind_to": lambda value: "" if value is None else gettext("only to step %(number)s") % {"number": _number(value)},
    "error_code": _error,
    "like": lambda value: gettext("like the saga %(id)s") % {"id": value},
}
_OF_STEP: dict[str, Callable[[Any], str]] = {
    "status": lambda value: words.status_words(str(value)),
    "waits": _waits,
    "hold": _hold,
    "approved_by": _approved,
    "owner": _owner,
    "doubt": lambda value: gettext("in doubt") if value else gettext("not in doubt any more"),
    "due_at": _due,
    "round": lambda value: gettext("round %(round)s") % {"round": value},
    "crashes": _crashes,
    "error_code": _error,
}
