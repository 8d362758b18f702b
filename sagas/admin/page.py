"""A saga's page: the facts, the steps, the history, and what the operator may do. Only reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext

from ..core.redaction import redact
from ..definitions.sensitive import rules_of
from ..engine.why import why
from ..models import NEWEST_FIRST, HistoryEntry, Saga, Step
from ..store import get_store
from . import alike, cells, words
from .changes import sentences
from .drawing import child_pages, drawings
from .family import family
from .locks import lock_fact
from .payloads import context_view
from .progress import progress
from .rows import rows_of
from .step_verbs import StepVerb, possible
from .steps import step_views
from .timeline import timeline
from .verbs import Prospect, Verb, load, prospect
from .why import why_view
from .work_views import saga_items

#: History entries on one page.
ENTRIES = 50
#: Changes that one entry tells.
MAX_CHANGES = 8
#: Held steps that are named at the top.
MAX_HELD = 10
#: Longer keys are none of a history.
MAX_DIGITS = 19


@dataclass(frozen=True, slots=True)
class EntryView:
    """One line of the history."""

    entry: HistoryEntry
    at: SafeString | str
    kind: str
    changes: list[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """A verb on this saga: a button, or why there is none."""

    verb: Verb
    prospect: Prospect
    url: str


def context(
    request: HttpRequest, saga: Saga, verbs: Iterable[Verb], step_verbs: Sequence[StepVerb], site: AdminSite
) -> dict[str, Any]:
    """What the template shows."""
    rows = load([saga.pk]).get(saga.pk)
    now = get_store().clock()
    graph = rows[0].graph if rows else None
    lines = rows_of(request, saga, graph)
    names = [step.name for step in lines.steps]
    acts = possible(step_verbs, request.user, rows, now, [step.position for step in lines.shown])
    views = step_views(saga, lines.shown, graph, acts)
    entries, older = _entries(request, saga, names)
    choices = [
        Choice(verb, prospect(verb, saga, rows, now), reverse(f"admin:sagas_saga_{verb.name}")) for verb in verbs
    ]
    open_verbs = {choice.verb.name: choice.verb for choice in choices if not choice.prospect.refusal}
    payload = context_view(saga)
    return {
        "saga": saga,
        "state": words.state_badge(saga),
        "progress": progress(saga, lines.steps),
        "attention": words.hold_words(saga.attention) if saga.attention else "",
        "attention_sentence": words.hold_sentence(saga.attention),
        "attention_steps": _held(saga, lines.steps)[:MAX_HELD],
        "facts": _facts(request, saga, names, site),
        "family": family(saga, lines.steps),
        "context_payload": payload,
        "hides": payload.hides or any(one.hides for view in views for one in view.payloads),
        "steps": views,
        "step_rows": lines,
        "drawings": drawings(graph, lines.steps, lines.links(), child_pages(lines.steps)),
        "drawing_text": _in_words(saga, lines.steps),
        "timeline": timeline(saga, names, _key(request, "timeline"), now),
        "why": why_view(why(*rows, now), open_verbs, views) if rows else None,
        "work_items": saga_items(saga, request.user, rows),
        "revision": rows[0].revision if rows else saga.revision,
        "entries": entries,
        "older": older,
        "choices": choices,
    }


def _held(saga: Saga, steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps if saga.attention and step.hold == saga.attention]


def _in_words(saga: Saga, steps: Sequence[Step]) -> str:
    """What the drawing shows, for who does not see it."""
    counts = Counter(words.status_words(step.status) for step in steps)
    text = gettext("%(count)d steps of %(saga)s: %(statuses)s")
    statuses = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    return text % {"count": len(steps), "saga": saga.name, "statuses": statuses}


def _key(request: HttpRequest, name: str) -> int | None:
    """The key of a history entry in the address."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < MAX_DIGITS else None


def _entries(request: HttpRequest, saga: Saga, names: Sequence[str]) -> tuple[list[EntryView], int | None]:
    """Newest first, from the one that `?before=` names; and where the older ones begin."""
    found = saga.history.order_by(NEWEST_FIRST)
    before = _key(request, "before")
    if before is not None:
        found = found.filter(id__lt=before)
    page = list(found[: ENTRIES + 1])
    shown, rules = page[:ENTRIES], rules_of(saga.name)
    views = [
        EntryView(
            entry,
            cells.moment(entry.at),
            words.kind_words(entry.kind),
            # The engine writes no payloads there; what a host's own store or another version has written may be one.
            _few(sentences(redact(entry.data, rules), names)),
        )
        for entry in shown
    ]
    return views, shown[-1].pk if len(page) > ENTRIES else None


def _few(changes: list[str]) -> list[str]:
    """One entry may change every element of a list."""
    if len(changes) <= MAX_CHANGES:
        return changes
    left = len(changes) - MAX_CHANGES
    more = ngettext("… and %(count)d change more", "… and %(count)d changes more", left) % {"count": left}
    return [*changes[:MAX_CHANGES], more]


def _facts(request: HttpRequest, saga: Saga, names: Sequence[str], site: AdminSite) -> list[tuple[str, object]]:
    """Name and value of what is known beside the state."""
    facts: list[tuple[str, object]] = [
        (gettext("Version"), saga.version),
        (gettext("Owner"), saga.owner),
        (gettext("Subject"), _subject(request, saga, site)),
        (gettext("Started"), cells.moment(saga.created_at)),
        (gettext("Updated"), cells.moment(saga.updated_at)),
        (gettext("Ended"), saga.completed_at and cells.moment(saga.completed_at)),
        (gettext("Paused"), saga.paused_at and cells.moment(saga.paused_at)),
        (gettext("Deadline"), saga.deadline_at and cells.moment(saga.deadline_at)),
        (gettext("Failed in the same way"), alike.fact(saga)),
        (gettext("Deadline missed"), saga.overdue_at and cells.moment(saga.overdue_at)),
        (gettext("Rolling back to"), _name_at(saga.rewind_to, names)),
        (gettext("Lock"), lock_fact(saga)),
        (gettext("Idempotency key"), saga.idempotency_key),
        (gettext("Request id"), saga.request_id),
        (pgettext("of a saga", "Tags"), ", ".join(map(str, saga.tags)) if isinstance(saga.tags, list) else saga.tags),
        (gettext("Priority"), saga.priority),
        (gettext("On failure"), gettext("roll back") if saga.rollback else gettext("stop, undo nothing")),
        (gettext("Revision"), saga.revision),
        (gettext("UUID"), str(saga.pk)),
    ]
    return [(name, value) for name, value in facts if value not in ("", None, 0)]


def _name_at(position: int | None, names: Sequence[str]) -> str:
    if position is None:
        return ""
    return names[position] if position < len(names) else str(position)


def _subject(request: HttpRequest, saga: Saga, site: AdminSite) -> SafeString | str:
    """The business object, with a link to its own page in the admin where the user may see it."""
    kind = saga.subject_type
    if kind is None:
        return saga.subject_id
    model = kind.model_class()
    text = f"{kind.name} {saga.subject_id}"
    if model is None or not site.is_registered(model):
        return text
    if not site.get_model_admin(model).has_view_or_change_permission(request):
        return text
    try:
        url = reverse(f"admin:{kind.app_label}_{kind.model}_change", args=[saga.subject_id])
    except NoReverseMatch:
        return text
    return format_html('<a href="{}">{}</a>', url, text)
