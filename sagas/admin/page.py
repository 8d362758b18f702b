"""A saga's page: the facts, the steps, the history, and what the operator may do. Only reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..definitions.ids import id_text
from ..models import HistoryEntry, Saga
from ..store import get_store
from . import cells, words
from .changes import sentences
from .progress import progress
from .step_verbs import StepVerb, possible
from .steps import step_views
from .verbs import Prospect, Verb, load, prospect

#: History entries on one page.
ENTRIES = 100


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
    steps = list(saga.steps.all())
    entries, older = _entries(request, saga, [step.name for step in steps])
    return {
        "saga": saga,
        "state": words.state_badge(saga),
        "progress": progress(saga, steps),
        "attention": words.hold_words(saga.attention) if saga.attention else "",
        "attention_sentence": words.hold_sentence(saga.attention),
        "attention_steps": [step for step in steps if saga.attention and step.hold == saga.attention],
        "facts": _facts(request, saga, [step.name for step in steps], site),
        "context_json": cells.pretty(saga.context),
        "steps": step_views(steps, rows[0].graph if rows else None, possible(step_verbs, request.user, rows, now)),
        "revision": rows[0].revision if rows else saga.revision,
        "entries": entries,
        "older": older,
        "time_zone": timezone.get_current_timezone_name(),
        "choices": [
            Choice(verb, prospect(verb, saga, rows, now), reverse(f"admin:sagas_saga_{verb.name}")) for verb in verbs
        ],
    }


def _entries(request: HttpRequest, saga: Saga, names: Sequence[str]) -> tuple[list[EntryView], int | None]:
    """Newest first, from the one that `?before=` names; and where the older ones begin."""
    found = saga.history.order_by("-id")
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        found = found.filter(id__lt=int(before))
    page = list(found[: ENTRIES + 1])
    shown = page[:ENTRIES]
    views = [
        EntryView(entry, cells.moment(entry.at), words.kind_words(entry.kind), sentences(entry.data, names))
        for entry in shown
    ]
    return views, shown[-1].pk if len(page) > ENTRIES else None


def _entry(entry: HistoryEntry, names: Sequence[str]) -> EntryView:
    changes = sentences(entry.data, names)
    return EntryView(entry, cells.moment(entry.at), words.kind_words(entry.kind), changes)


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
        (gettext("Deadline missed"), saga.overdue_at and cells.moment(saga.overdue_at)),
        (gettext("Rolling back to"), _name_at(saga.rewind_to, names)),
        (gettext("Parent"), saga.parent_id and f"{id_text(saga.parent_id)} ({saga.parent_step})"),
        (gettext("Idempotency key"), saga.idempotency_key),
        (gettext("Request id"), saga.request_id),
        (gettext("Tags"), ", ".join(map(str, saga.tags)) if isinstance(saga.tags, list) else saga.tags),
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
