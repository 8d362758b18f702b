"""What became of an action: messages to the operator, and lines in the admin's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from ..models import Saga
from .cells import saga_link
from .step_verbs import Aim
from .verbs import Verb

#: Sagas named in one message.
MAX_NAMED = 10


@dataclass(slots=True)
class Outcome:
    """What became of each saga."""

    done: list[Saga] = field(default_factory=list)
    #: The new sagas in their places, where it has started some.
    started: list[Saga] = field(default_factory=list)
    moved: list[Saga] = field(default_factory=list)
    #: With the reason.
    refused: list[tuple[Saga, str]] = field(default_factory=list)
    #: What is wrong with that which was typed, where that was the reason.
    unusable: str = ""
    #: Sagas that are not there any more.
    gone: int = 0


def log(request: HttpRequest, verb: Verb | Aim, outcome: Outcome, reason: str) -> None:
    """One line per saga in the admin's log; the saga's own history is the engine's."""
    if outcome.done:
        note = f"{verb.label}: {reason}"
        LogEntry.objects.log_actions(request.user.pk, outcome.done, CHANGE, note)  # type: ignore[arg-type]
    if outcome.started:
        note = f"{verb.label} ({', '.join(saga.ulid for saga in outcome.done)}): {reason}"
        LogEntry.objects.log_actions(request.user.pk, outcome.started, ADDITION, note)  # type: ignore[arg-type]


def tell(request: HttpRequest, verb: Verb | Aim, outcome: Outcome) -> None:
    """Say what was done and what was not, and why."""
    if outcome.done:
        messages.success(request, _with_links(verb.told(len(outcome.done)), outcome.started or outcome.done))
    if outcome.moved:
        text = ngettext(
            "%(count)d saga changed since you looked, and was left alone; look again",
            "%(count)d sagas changed since you looked, and were left alone; look again",
            len(outcome.moved),
        )
        messages.error(request, _with_links(text % {"count": len(outcome.moved)}, outcome.moved))
    for saga, reason in outcome.refused[:MAX_NAMED]:
        messages.error(request, format_html("{}: {}", saga_link(saga), reason))
    _tell_rest(request, len(outcome.refused) - MAX_NAMED, outcome.gone)


def _tell_rest(request: HttpRequest, unnamed: int, gone: int) -> None:
    if unnamed > 0:
        text = ngettext("%(count)d more was refused.", "%(count)d more were refused.", unnamed)
        messages.error(request, text % {"count": unnamed})
    if gone:
        text = ngettext("%(count)d saga does not exist.", "%(count)d sagas do not exist.", gone)
        messages.error(request, text % {"count": gone})


def _with_links(text: str, sagas: Sequence[Saga]) -> SafeString:
    links = format_html_join(", ", "{}", ((saga_link(saga),) for saga in sagas[:MAX_NAMED]))
    more = gettext(" and others") if len(sagas) > MAX_NAMED else ""
    return format_html("{}: {}{}", text, links, more)
