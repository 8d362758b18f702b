"""Work items as pages show them: the list, and a saga's own page. Only reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..conf import app_settings
from ..core import triggers as t
from ..core.states import Hold
from ..engine.may import may
from ..engine.work import VERBS, Allowed, Ask, Comment, Talk, comments, talks
from ..models import Saga, WorkItem
from ..store import get_store
from . import cells, links, words
from .step_verbs import ASSIGN, STEP_VERBS, possible
from .verbs import ODD, RETRY, Rows, Verb, ask, load

#: Open items that a saga's own page shows.
MAX_SHOWN = 20
_COLUMNS = (
    "saga", "position", "name", "status", "hold", "held_since", "owner", "round", "error_code", "error_message",
    "approved_by", "waits", "due_at", "saga__name", "saga__revision", "saga__graph", "saga__subject_type",
    "saga__subject_id", "saga__owner",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """A button."""

    name: str
    label: str
    meaning: str
    url: str
    first: bool = False
    #: It is about the step; otherwise about the whole saga.
    of_step: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """A comment."""

    comment: Comment
    at: SafeString


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item."""

    item: WorkItem
    #: What is asked for, in words.
    kind: SafeString
    #: For a comment's form: its name, and its key.
    label: str
    key: str
    step_url: str
    saga_url: str
    definition_url: str
    why: str
    approvals: str
    age: SafeString
    mine: bool
    #: The user may take it, give it back, and say something.
    cares: bool
    revision: int
    #: What the saga is about, with a link to its own page.
    subject: SafeString | str = ""
    acts: list[Act] = field(default_factory=list)
    count: int = 0
    said: list[Said] = field(default_factory=list)


def item_views(keys: Sequence[int], user: Any, subject: Callable[[Saga], SafeString | str]) -> list[ItemView]:
    """A page of the list, in the order of the keys: the last comment of each. `subject`: how it is shown."""
    found = {item.pk: item for item in _items().filter(pk__in=keys)}
    items = [found[key] for key in keys if key in found]
    rows = load({item.saga_id for item in items})
    said = talks(items)
    views = _views(items, user, rows, {key: _last(talk) for key, talk in said.items()})
    return [replace(view, subject=subject(view.item.saga)) if _is_about(view.item.saga) else view for view in views]


def saga_items(saga: Saga, user: Any, rows: Rows | None) -> list[ItemView]:
    """The open items of a saga, with all that was said about them. No query where there are none to show."""
    if not saga.attention:
        return []
    items = list(_items().filter(saga=saga).order_by("held_since", "pk")[:MAX_SHOWN])
    found: dict[str, list[Comment]] = {}
    for comment in comments(saga.pk) if items else ():
        found.setdefault(comment.step, []).append(comment)
    said = {item.pk: (len(found[item.name]), found[item.name]) for item in items if item.name in found}
    return list(_views(items, user, {} if rows is None else {saga.pk: rows}, said, acts=False))


def _is_about(saga: Saga) -> bool:
    return bool(saga.subject_type_id or saga.subject_id or saga.owner)


def _items() -> QuerySet[WorkItem]:
    found = WorkItem.objects.using(app_settings().DATABASE).filter(held_since__isnull=False)
    return found.select_related("saga").only(*_COLUMNS)


def _last(talk: Talk) -> tuple[int, list[Comment]]:
    return talk.count, [talk.last]


def _views(
    items: Sequence[WorkItem],
    user: Any,
    rows: Mapping[UUID, Rows],
    said: Mapping[int, tuple[int, list[Comment]]],
    *,
    acts: bool = True,
) -> Iterator[ItemView]:
    asks = {item.pk: Ask.of(item) for item in items}
    allowed, now = Allowed(user, asks.values()), get_store().clock()
    for item in items:
        seen = rows.get(item.saga_id)
        count, lines = said.get(item.pk, (0, []))
        yield ItemView(
            item,
            kind=words.hold_badge(item.hold),
            label=f"{words.hold_words(item.hold)}: {item.name}",
            key=uuid4().hex,
            step_url=f"{cells.page_of(item.saga_id)}?step={item.position}#step-{item.position}",
            saga_url=cells.page_of(item.saga_id),
            definition_url=links.definition(item.saga.name),
            why=_why(item),
            approvals=_approvals(item, seen),
            age=cells.since(item.held_since),
            mine=bool(item.owner) and item.owner == user.get_username(),
            cares=allowed.cares(asks[item.pk]),
            revision=seen[0].revision if seen else item.saga.revision,
            acts=list(_acts(item, user, seen, now)) if acts else [],
            count=count,
            said=[Said(comment, cells.ago(comment.at)) for comment in lines],
        )


def _why(item: WorkItem) -> str:
    """What to do about it; of an approval, of what."""
    if item.hold != Hold.APPROVAL:
        return words.hold_sentence(item.hold)
    return words.wait_words(item.waits) if item.waits else gettext("Undoing it waits for approval.")


def _approvals(item: WorkItem, rows: Rows | None) -> str:
    """Who is to approve, and who has."""
    if item.hold != Hold.APPROVAL or rows is None or item.position >= len(rows[0].graph.steps):
        return ""
    spec, given = rows[0].graph.steps[item.position], item.approved_by.splitlines()
    found = []
    if not item.waits:
        found.append(gettext("%(count)d of %(needed)d approvals") % {"count": len(given), "needed": spec.approve_undo})
    if given:
        found.append(gettext("approved by %(names)s") % {"names": ", ".join(given)})
    if spec.approvers:
        found.append(gettext("to be approved by %(approvers)s") % {"approvers": spec.approvers})
    return "; ".join(found)


def _acts(item: WorkItem, user: Any, rows: Rows | None, now: datetime) -> Iterator[Act]:
    """What the engine would not refuse now, and the user may do; the likeliest first."""
    if rows is None:
        return
    names = [name for name in (*VERBS.get(item.hold, ()), ASSIGN.name) if may(user, name, item.saga.name)]
    verbs = [STEP_VERBS[name] for name in names if name in STEP_VERBS]
    open_now = {verb.name: verb for verb in possible(verbs, user, rows, now, [item.position]).get(item.position, [])}
    for name in names:
        if name in open_now:
            yield _act(open_now[name], first=name == names[0])
        elif name == RETRY.name and _can_retry(rows, now):
            yield _act(RETRY, first=name == names[0], of_step=False)


def _act(verb: Any, *, first: bool, of_step: bool = True) -> Act:
    url = reverse(f"admin:sagas_saga_{verb.name}")
    label = gettext("Retry now") if isinstance(verb, Verb) else str(verb.label)
    return Act(verb.name, label, str(verb.meaning), url, first, of_step)


def _can_retry(rows: Rows, now: datetime) -> bool:
    try:
        return not isinstance(ask(*rows, t.Retry(), now), str)
    except ODD:
        return False
