"""Why a saga is not moving, in one sentence, with the button that mends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from ..core.states import Hold, Wait
from ..definitions.ids import id_text
from ..engine.why import Cause, Why
from . import cells, words
from .step_verbs import StepVerb
from .steps import StepView
from .verbs import Verb

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class WhyView:
    """The sentence, and where its button leads; without an address there is none."""

    sentence: SafeString | str
    #: Nothing is wrong: it runs, or waits as it was told to.
    calm: bool
    #: A person is asked: that is what the note on its attention is about.
    asks: bool
    verb: Verb | StepVerb | None = None
    url: str = ""
    #: For a step's verb: its name and its place.
    step: str = ""
    position: int = 0


_CALM = frozenset({Cause.RUNS, Cause.SOON, Cause.RETRY, Cause.WAITS, Cause.BUSY})


def why_view(found: Why | None, verbs: Mapping[str, Verb], steps: Sequence[StepView]) -> WhyView | None:
    """`verbs`: what this user may do now to the saga, by name; `steps` know what he may do to each of them."""
    if found is None:
        return None
    asks = found.cause is Cause.HELD or found.facts.get("wait") == Wait.APPROVAL
    view = WhyView(_SENTENCES[found.cause](found), found.cause in _CALM, asks)
    if found.mend in verbs:
        return replace(view, verb=verbs[found.mend], url=reverse(f"admin:sagas_saga_{found.mend}"))
    for step in steps:
        for verb, url in step.acts:
            if step.step.name == found.step and verb.name == found.mend:
                return replace(view, verb=verb, url=url, step=found.step, position=step.step.position)
    return view


def _say(text: str, found: Why, **facts: Any) -> SafeString:
    step = format_html("<strong>{}</strong>", found.step)
    at = cells.ago(found.at) if found.at is not None else ""
    return format_html(text, step=step, at=at, **facts)


def _paused(found: Why) -> SafeString:
    if not found.facts:
        return _say(gettext("Paused {at}, behind a step that stops the line. Resume lets it go on."), found)
    text = gettext("Paused {at} by {actor}: {reason}") if found.facts["reason"] else gettext("Paused {at} by {actor}.")
    return _say(text, found, actor=found.facts["actor"] or "-", reason=found.facts["reason"])


def _locked(found: Why) -> SafeString:
    holder = found.facts["holder"]
    if holder is None:
        return _say(gettext("It waits for the lock {key}, which is about to be free."), found, key=found.facts["key"])
    url = reverse("admin:sagas_saga_change", args=[id_text(holder)])
    link = format_html('<a href="{}"><code>{}</code></a>', url, id_text(holder))
    return _say(
        gettext("It waits for the lock {key}, held by the saga {saga}."), found, key=found.facts["key"], saga=link
    )


def _held(found: Why) -> SafeString:
    hold = found.facts["hold"]
    if hold == Hold.APPROVAL:
        return _approval(found, gettext("Undoing {step} waits for approval{by}."))
    return format_html("{}", words.hold_sentence(hold))


def _approval(found: Why, text: str) -> SafeString:
    by = gettext(" by %(approvers)s") % {"approvers": found.facts["approvers"]} if found.facts["approvers"] else ""
    return _say(text, found, by=by)


def _waits(found: Why) -> SafeString:
    wait = found.facts["wait"]
    if wait == Wait.APPROVAL:
        sentence = _approval(found, gettext("{step} waits for approval{by}."))
    elif wait == Wait.SIGNAL:
        sentence = _say(gettext("{step} waits for the signal {name}."), found, name=found.facts["signal"])
    elif wait == Wait.TIMER:
        return _say(gettext("{step} waits for its time: {at}."), found)
    else:
        sentence = _say(gettext("{step} {what}."), found, what=words.wait_words(wait))
    if found.at is None:
        return sentence
    return format_html("{} {}", sentence, _say(gettext("Its time is up {at}."), found))


def _retry(found: Why) -> SafeString:
    text = gettext("{step} failed ({error}); the next attempt is {at}.")
    if found.facts["undo"]:
        text = gettext("Undoing {step} failed ({error}); the next attempt is {at}.")
    return _say(text, found, error=found.facts["error"] or found.facts["code"] or gettext("no reason given"))


def _lost(found: Why) -> SafeString:
    silent = gettext("The worker that ran {step} has died.")
    if found.at is not None:
        silent = gettext("The worker that ran {step} has been silent since {at}.")
    ending = gettext("Another one takes over shortly.")
    if not found.facts["anyone"]:
        ending = gettext("No other worker is running: start one with manage.py saga_worker.")
    return format_html("{} {}", _say(silent, found), ending)


def _running(found: Why) -> SafeString:
    text = gettext("It moves: {step} is running on {worker}, {at}.")
    if found.facts["undo"]:
        text = gettext("It moves: {step} is being undone on {worker}, {at}.")
    return _say(text, found, worker=found.facts["worker"])


def _about(text: StrOrPromise) -> Callable[[Why], SafeString]:
    def say(found: Why) -> SafeString:
        facts = dict(found.facts)
        facts["queue"] = facts.get("queue") or gettext("common")
        return _say(str(text), found, **facts)

    return say


_SENTENCES: dict[Cause, Callable[[Why], SafeString]] = {
    Cause.PAUSED: _paused,
    Cause.LOCKED: _locked,
    Cause.HELD: _held,
    Cause.NO_WORKER: _about(
        gettext_lazy("No worker is running, and it is the turn of {step}: start one with manage.py saga_worker.")
    ),
    Cause.NO_QUEUE: _about(
        gettext_lazy("No running worker serves the queue {queue} of {step}: start one with --queues={queue}.")
    ),
    Cause.NO_HANDLER: _about(
        gettext_lazy("No running worker knows the handler {handler} of {step}: deploy the code that has it.")
    ),
    Cause.WORKER_LOST: _lost,
    Cause.THREAD: _about(
        gettext_lazy("{step} has timed out, and its thread still runs; nothing else of the step starts before it ends.")
    ),
    Cause.WAITS: _waits,
    Cause.RETRY: _retry,
    Cause.BUSY: _about(
        gettext_lazy("It is the turn of {step}, and all {slots} slots of the workers that can run it are taken.")
    ),
    Cause.RUNS: _running,
    Cause.SOON: _about(gettext_lazy("Nothing hinders it: a worker takes it up in a moment.")),
}
