"""A batch's page: how far it is, what came of it, and what can be done to it. Only reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..definitions.ids import id_text
from ..engine.batch.fates import UNWATCHED
from ..engine.batch.verdict import DRIP, Why, holds_back
from ..models import Batch, BatchItem, BatchState, ItemOutcome, Saga
from ..models.batch import LIVING
from . import cells, words
from .batch_start import list_url
from .bulk import counted
from .filter_words import filter_words
from .paging import CAP
from .verbs import VERBS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Sagas on one page.
ITEMS = 50
#: Longer keys are none of an item.
MAX_DIGITS = 18

_STATE_TONES = {
    BatchState.QUEUED: "calm",
    BatchState.GOING: "going",
    BatchState.PAUSED: "undoing",
    BatchState.STOPPED: "bad",
    BatchState.CANCELLED: "calm",
    BatchState.DONE: "good",
}
_OUTCOME_TONES = {
    ItemOutcome.ACTED: "going",
    ItemOutcome.OK: "good",
    ItemOutcome.FAILED: "bad",
    ItemOutcome.REFUSED: "undoing",
}
#: What the engine writes in one word.
_MESSAGES: dict[str, StrOrPromise] = {
    "forbidden": _("whom the batch acts for may not do this to sagas of this definition"),
    "unchanged": _("there was nothing to do"),
    "moves": _("it moved again and again at that very moment; look at it"),
    "unreadable": _("the engine can not read this saga; see manage.py saga_check"),
    "gone": _("the saga was deleted"),
}
_EVENTS: dict[str, StrOrPromise] = {
    "pause": _("paused"),
    "resume": _("resumed"),
    "go_on": _("went on though it had stopped itself"),
    "cancel": BatchState.CANCELLED.label,
    "stopped": _("stopped itself"),
}
#: What can be done to it, by its state.
STEERING: Mapping[str, Sequence[str]] = {
    BatchState.QUEUED: ("pause", "cancel"),
    BatchState.GOING: ("pause", "cancel"),
    BatchState.PAUSED: ("resume", "cancel"),
    BatchState.STOPPED: ("go_on", "cancel"),
}
BUTTONS: Mapping[str, StrOrPromise] = {
    "pause": _("Pause the batch"),
    "resume": _("Resume the batch"),
    "go_on": _("Go on anyway"),
    "cancel": _("Cancel the batch"),
}


@dataclass(frozen=True, slots=True)
class Count:
    """A number, and the list of what it counts."""

    title: str
    count: str
    url: str
    tone: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ItemView:
    """One saga of the batch."""

    saga: Saga | None
    ulid: str
    url: str
    state: SafeString | str
    outcome: SafeString
    message: str
    at: SafeString


def badge(batch: Batch) -> SafeString:
    """The batch's state."""
    return cells.badge(_STATE_TONES.get(batch.state, "calm"), batch.get_state_display())  # type: ignore[call-overload]


def label(batch: Batch) -> str:
    """What it does."""
    verb = VERBS.get(batch.verb)
    return str(verb.label) if verb else batch.verb


def total(batch: Batch) -> str:
    """How many sagas there are for it."""
    return counted(min(batch.expected, CAP), more=batch.expected > CAP)


def context(request: HttpRequest, batch: Batch, site: AdminSite, *, may_steer: bool) -> dict[str, Any]:
    """What the template shows."""
    chosen = request.GET.get("outcome", "")
    chosen = chosen if chosen in ItemOutcome.values else ""
    items, older = _items(batch, chosen, request.GET.get("before", ""))
    living = batch.state in LIVING
    return {
        "batch": batch,
        "label": label(batch),
        "badge": badge(batch),
        "living": living,
        "status": _status(batch),
        "stopped": _stopped(batch) if batch.state == BatchState.STOPPED else "",
        "total": total(batch),
        "known_total": batch.walked_at is not None or batch.expected <= CAP,
        "most": batch.done if batch.walked_at else max(batch.expected, batch.done),
        "done": cells.number(batch.done),
        "counts": _counts(batch, chosen),
        "facts": _facts(batch, site),
        "events": list(_events(batch)),
        "items": items,
        "chosen": ItemOutcome(chosen).label if chosen else "",
        "chosen_value": chosen,
        "all_url": reverse("admin:sagas_batch_change", args=[batch.pk]),
        "older": older,
        "buttons": [(name, BUTTONS[name]) for name in STEERING.get(batch.state, ())] if may_steer else [],
        "steer_url": reverse("admin:sagas_batch_steer", args=[batch.pk]),
        "list_url": list_url(batch.filters) if isinstance(batch.filters, dict) else "",
    }


def _status(batch: Batch) -> str:
    """What it is doing right now, in a sentence."""
    if batch.state == BatchState.QUEUED:
        return gettext("It waits for a worker: the first that is alive begins with it within seconds.")
    if batch.state != BatchState.GOING:
        return ""
    if batch.walked_at is not None:
        text = ngettext(
            "All had their turn. What came of %(count)s saga is not known yet.",
            "All had their turn. What came of %(count)s sagas is not known yet.",
            batch.unknown,
        )
        return text % {"count": cells.number(batch.unknown)}
    if holds_back(batch):
        return gettext(
            "Nothing is known yet of %(count)s sagas. Until it is, only one more is tried every %(seconds)d seconds."
        ) % {"count": cells.number(batch.unknown), "seconds": DRIP.total_seconds()}
    return gettext("It goes on.")


def _stopped(batch: Batch) -> str:
    """Why it has stopped itself."""
    if batch.why == Why.NOT_ALLOWED:
        return gettext("%(name)s, for whom it acts, may not do this any more.") % {"name": batch.actor}
    if batch.why == Why.BAD_FILTER:
        return gettext("One of its filters is not known any more. Make a new batch.")
    last: dict[str, Any] = next((event for event in reversed(_lines(batch)) if event.get("what") == "stopped"), {})
    numbers = {"again": last.get("again", 0), "refused": last.get("refused", 0)}
    if batch.why == Why.ALL:
        return gettext("None of its sagas went well: %(again)s failed again, %(refused)s were refused.") % numbers
    return (
        gettext(
            "It went wrong ten times in a row: %(again)s failed again, %(refused)s were refused. Is the cause mended?"
        )
        % numbers
    )


def _counts(batch: Batch, chosen: str) -> list[Count]:
    numbers = {
        ItemOutcome.OK: (gettext("Went well"), batch.ok),
        ItemOutcome.FAILED: (gettext("Failed again"), batch.failed),
        ItemOutcome.REFUSED: (gettext("Refused"), batch.refused),
        ItemOutcome.ACTED: (gettext("Not known yet"), batch.unknown),
    }
    if batch.verb in UNWATCHED:
        numbers = {ItemOutcome.OK: (gettext("Done"), batch.ok), ItemOutcome.REFUSED: numbers[ItemOutcome.REFUSED]}
    return [
        Count(
            title,
            cells.number(count),
            f"?outcome={outcome}#batch-items",
            _OUTCOME_TONES[outcome] if count else "calm",
            outcome == chosen,
        )
        for outcome, (title, count) in numbers.items()
    ]


def _facts(batch: Batch, site: AdminSite) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [
        (gettext("By"), batch.actor or "-"),
        (gettext("Reason"), batch.reason),
        (gettext("Sagas per second"), f"{batch.rate:g}"),
        (gettext("Made"), cells.moment(batch.created_at)),
    ]
    if batch.started_at:
        facts.append((gettext("Begun"), cells.moment(batch.started_at)))
    if batch.ended_at:
        facts.append((gettext("Ended"), cells.moment(batch.ended_at)))
    filters = batch.filters if isinstance(batch.filters, dict) else {}
    return [*facts, *filter_words(filters, site)]


def _lines(batch: Batch) -> list[dict[str, Any]]:
    events = batch.events if isinstance(batch.events, list) else []
    return [event for event in events if isinstance(event, dict)]


def _events(batch: Batch) -> list[dict[str, Any]]:
    return [
        {
            "at": _moment(event.get("at")),
            "what": str(_EVENTS.get(str(event.get("what")), event.get("what"))),
            "actor": event.get("actor", ""),
            "reason": event.get("reason", ""),
        }
        for event in reversed(_lines(batch))
    ]


def _moment(text: object) -> SafeString | str:
    try:
        at = parse_datetime(str(text))
    except ValueError:
        at = None
    return cells.moment(at) if isinstance(at, datetime) and at.tzinfo else str(text)


def _items(batch: Batch, chosen: str, before: str) -> tuple[list[ItemView], int]:
    """One page, the last first, and where the next one begins (0: there is none)."""
    rows = batch.items.order_by("-pk")
    if chosen:
        rows = rows.filter(outcome=chosen)
    if before.isdecimal() and len(before) <= MAX_DIGITS:
        rows = rows.filter(pk__lt=int(before))
    items = list(rows[: ITEMS + 1])
    shown = items[:ITEMS]
    light = Saga.objects.using(batch._state.db).only("id", "name", "state")
    sagas = light.in_bulk([item.saga_id for item in shown])
    return [_view(item, sagas.get(item.saga_id)) for item in shown], shown[-1].pk if len(items) > ITEMS else 0


def _view(item: BatchItem, saga: Saga | None) -> ItemView:
    return ItemView(
        saga,
        id_text(item.saga_id),
        cells.page_of(item.saga_id),
        words.state_badge(saga) if saga else "",
        cells.badge(_OUTCOME_TONES.get(item.outcome, "calm"), item.get_outcome_display()),  # type: ignore[call-overload]
        str(_MESSAGES.get(item.message, item.message)),
        cells.ago(item.acted_at),
    )
