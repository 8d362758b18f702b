"""What the engine says, in the language of who reads it.

The engine speaks English: its words go into logs, histories and REST answers as well, and its core knows no Django.
Here its sentences are recognised by their form and said again. One that is not known is shown as it was said: an error
of a handler or of the database is nobody's to translate, and English is better than nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from . import words

#: Sentences of the engine, and pieces of them. The first that fits is taken.
SENTENCES: tuple[str, ...] = (
    # -- the table of answers
    _("expected state %(states)s, got %(state)s; %(advice)s"),
    _("a completed saga is final: start a saga that does the opposite"),
    _("everything is undone already"),
    _("it does not go forward: nothing in it takes a signal any more"),
    _("it has ended or is being rolled back already"),
    _("it has ended: there is nothing to pause"),
    _("it has ended: there is nothing to resume"),
    _("it has ended: retry or restart it"),
    _("nothing of it runs forward any more"),
    _("it has ended: nothing is left to skip"),
    _("it has ended: nothing waits for approval"),
    _("only what is still to be done can be denied"),
    _("restart it as a new saga"),
    _("only a debt has an owner"),
    _("it may still have something to undo: retry or compensate it"),
    _("it is complete: there is nothing to run again"),
    _("start a new saga instead"),
    _("the saga has ended"),
    # -- sagas
    _("its point of no return %(step)s is %(status)s, so it can only go forward: retry, skip or resolve what is stuck"),
    _(
        "expected a step that waits for its next attempt, is unknown or is a debt, found none in state %(state)s; it "
        "moves by itself"
    ),
    _("it is compensating already"),
    _("it is paused already"),
    _("it is not paused"),
    _("it was answered so already"),
    _("no step waits for a time"),
    _("the saga has moved: expected revision %(expected)s, it is at %(number)s; load it again"),
    _("it is the child of saga %(saga)s (step %(step)s), which is %(state)s; %(advice)s"),
    _("compensate or cancel that one, its children are rolled back with it"),
    _("it does not wait for this one any more: start a new saga"),
    _("expected a definition %(name)s, there is none; start a new saga with its steps"),
    _("saga %(saga)s has the lock %(key)s until it ends"),
    _("another saga has the lock %(key)s until it ends"),
    _("the idempotency key %(key)s was used for saga %(saga)s with another payload; use a new key for a new saga"),
    # -- steps
    _("expected a step from 0 to %(last)s, got %(number)s"),
    _("step %(step)s is running: wait for this attempt to end"),
    _("step %(step)s may have happened with its old input: resolve that first"),
    _("expected a step that is pending or failed, %(step)s is %(status)s"),
    _("expected a step that is still to be done, %(step)s is %(status)s"),
    _("it is not the turn of step %(step)s to be undone: it is %(status)s"),
    _("step %(step)s does not wait for approval"),
    _("%(name)s has approved already: the other approval must be somebody else's"),
    _("step %(step)s is to be approved by somebody with the permission, or in the group, %(name)s"),
    _("expected a debt, a late effect, or a step whose outcome a person must find out; %(step)s is %(status)s"),
    _("expected a step that asks for a person, %(step)s is %(status)s"),
    _("only a debt has a next try, step %(step)s is %(status)s"),
    _("nobody looks after step %(step)s"),
    _("%(name)s looks after step %(step)s"),
    _("step %(step)s has not begun: there is nothing to go back to"),
    _("no step of this saga waits for a signal %(name)s (signals: %(names)s)"),
    _("step %(step)s takes no signal any more: it is %(status)s, with another payload"),
    _("step %(step)s takes no signal any more: it is %(status)s"),
    # -- what was typed
    _("%(what)s: expected at most %(most)s levels of nesting, got far more or a circle"),
    _("%(what)s: expected at most %(most)s levels of nesting, got %(number)s"),
    _("%(what)s: expected a value that JSON can hold, got one that it can not: %(why)s"),
    _("%(what)s: expected text without the character U+0000, which PostgreSQL can not store"),
    _("%(what)s: expected a dict, got %(kind)s"),
    _("%(what)s: expected at most %(most)s bytes of JSON, got %(number)s"),
    _("%(what)s: expected text in Unicode, got half of a surrogate pair"),
    _("%(what)s: expected at most %(most)s printable characters, got %(value)s"),
    _("%(what)s: expected at most %(most)s characters of text, got %(value)s"),
    _("%(what)s: expected text that is not empty"),
    _("%(what)s: expected a time within %(most)s days of now, got %(value)s"),
    _("%(what)s: expected a list of at most %(most)s texts, got %(value)s"),
    _("%(what)s: expected a whole number from -100 to 100, got %(value)s"),
    _(
        "%(what)s: %(hidden)s stands for the hidden value of %(name)s, and there is none in that place; give the value "
        "itself"
    ),
    _("payload of signal %(name)s"),
    _("input of step %(step)s"),
    _("output of step %(step)s"),
    _("output"),
    _("context"),
    _("idempotency key"),
    _("owner"),
    _("priority"),
    _("reason"),
    _("tags"),
)
_CANNOT = re.compile(r"cannot [a-z_ ]{1,40}: (?=.)")
_PLACE = re.compile(r"%\((\w+)\)s")
#: What is itself said by the engine, or by a word of ours.
_INNER: dict[str, Callable[[str], str]] = {
    "advice": lambda text: told(text),
    "what": lambda text: told(text),
    "state": words.state_words,
    "status": words.status_words,
    "states": lambda text: _either(text),
}


def told(message: str) -> str:
    """A message of the engine in the language that is active; without "cannot compensate saga:" before it, since the
    place where it stands says so."""
    message = _CANNOT.sub("", message, count=1)
    for sentence, pattern in _patterns():
        match = pattern.fullmatch(message)
        if match:
            values = {key: _INNER.get(key, str)(value) for key, value in match.groupdict().items()}
            return gettext(sentence) % values
    return message


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(sentence, _pattern(sentence)) for sentence in SENTENCES]


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = _PLACE.split(sentence)
    texts = [re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts)]
    return re.compile("".join(texts), re.S)


def _either(states: str) -> str:
    """ "started or failed" """
    found = [words.state_words(state) for state in re.split(r", | or ", states)]
    return gettext(" or ").join(found) if len(found) < 3 else ", ".join(found)
