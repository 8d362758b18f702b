"""Work items: the steps that ask for a person. Which there are, who may do something about them, what people have said
about them. Who looks after one is an engine verb (`assign`); comments are notes in the saga's history.

Lists walk the partial indexes over `Step.held_since`, so they cost what is open, however many sagas there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Count, Max

from ..conf import app_settings
from ..core.errors import PayloadError
from ..core.graph import Graph
from ..core.history import Entry
from ..core.states import Hold
from ..exceptions import MAX_MESSAGE
from ..models import HistoryEntry, Saga, SagaGraph, Step, WorkItem
from ..models.saga import saga_key
from ..store import get_store
from .may import is_one_of, may
from .operate import clean, clean_actor, not_found
from .steer import find

#: The note's kind.
COMMENT = "comment"
#: Open items that are listed, and counted, at most: the oldest.
CAP = 1000
#: Comments that are read of one saga.
MAX_COMMENTS = 50
#: In place of a name: nobody looks after it.
NOBODY = "-"

#: What there is to do about each hold.
VERBS: Mapping[str, tuple[str, ...]] = {
    Hold.APPROVAL: ("approve", "deny"),
    Hold.DEBT: ("resolve", "retry", "skip"),
    Hold.UNRECORDED: ("resolve", "retry", "skip"),
    Hold.AT_MOST_ONCE: ("resolve", "retry", "skip"),
    Hold.NO_RETURN: ("resolve", "retry", "skip"),
    Hold.CHILD: ("resolve", "skip"),
    Hold.LATE_EFFECT: ("resolve",),
    Hold.CRASHES: ("retry", "skip"),
    Hold.OVERDUE: ("retry", "skip"),
}
KINDS = tuple(str(hold) for hold in VERBS)
_ODD = (LookupError, TypeError, ValueError, PayloadError)


@dataclass(frozen=True, slots=True)
class Ask:
    """What decides on who may act upon an item."""

    key: int
    name: str
    position: int
    hold: str
    graph: str
    approved_by: str = ""

    @classmethod
    def of(cls, item: Step) -> Ask:
        """Of an item that was read with its saga."""
        return cls(item.pk, item.saga.name, item.position, item.hold, item.saga.graph_id, item.approved_by)


def open_items(*, hold: str = "", name: str = "", owner: str | None = None) -> Any:
    """The open ones, the oldest first. `owner`: whose; `NOBODY`: those that nobody looks after."""
    found = WorkItem.objects.using(app_settings().DATABASE).filter(held_since__isnull=False)
    if hold:
        found = found.filter(hold=hold)
    if name:
        found = found.filter(saga__name=name)
    if owner is not None:
        found = found.filter(owner="" if owner == NOBODY else owner)
    return found.order_by("held_since", "pk")


def oldest(items: Any, user: Any = None) -> list[int]:
    """The keys of the oldest ones, one more than `CAP` at most; with a user: of those, what they may act upon."""
    if user is None:
        return list(items.values_list("pk", flat=True)[: CAP + 1])
    columns = ("pk", "saga__name", "position", "hold", "saga__graph_id", "approved_by")
    asks = [Ask(*row) for row in items.values_list(*columns)[: CAP + 1]]
    allowed = Allowed(user, asks)
    return [ask.key for ask in asks if allowed.acts(ask)]


def counts(user: Any) -> tuple[int, int]:
    """How many are open, and how many of them the user looks after; each counted to one more than `CAP`."""
    items = open_items().order_by()
    return items[: CAP + 1].count(), items.filter(owner=user.get_username())[: CAP + 1].count()


class Allowed:
    """What a user may do about items: one query, for what approvals ask for."""

    def __init__(self, user: Any, asks: Iterable[Ask]) -> None:
        self._user = user
        self._known: dict[tuple[str, str], bool] = {}
        self._approvers = _approvers([ask for ask in asks if ask.hold == Hold.APPROVAL])

    def acts(self, ask: Ask) -> bool:
        """Whether there is something that this user may do: approvals that are theirs to give, and are not given."""
        if ask.hold == Hold.APPROVAL and self._user.get_username() in ask.approved_by.splitlines():
            return False
        return self._is_theirs(ask)

    def cares(self, ask: Ask) -> bool:
        """Whether they may look after it, and say something about it."""
        return self._may("assign", ask.name) or self._is_theirs(ask)

    def _is_theirs(self, ask: Ask) -> bool:
        if not any(self._may(verb, ask.name) for verb in VERBS.get(ask.hold, ())):
            return False
        if ask.hold != Hold.APPROVAL:
            return True
        wanted = self._approvers.get((ask.graph, ask.position))
        return wanted is not None and (not wanted or is_one_of(self._user, (wanted,)))

    def _may(self, verb: str, name: str) -> bool:
        found = self._known.get((verb, name))
        if found is None:
            found = self._known[verb, name] = may(self._user, verb, name)
        return found


def _approvers(asks: Iterable[Ask]) -> dict[tuple[str, int], str]:
    """By graph and position. What can not be read is not there."""
    wanted: dict[str, set[int]] = {}
    for ask in asks:
        wanted.setdefault(ask.graph, set()).add(ask.position)
    found: dict[tuple[str, int], str] = {}
    if not wanted:
        return found
    rows = SagaGraph.objects.using(app_settings().DATABASE).filter(pk__in=wanted).values_list("pk", "data")
    for key, data in rows:
        try:
            steps = Graph.from_json(data).steps
            found |= {(key, position): steps[position].approvers for position in wanted[key]}
        except _ODD:
            continue
    return found


# -- comments -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody has said about a step."""

    step: str
    actor: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Talk:
    """What was said about an item."""

    count: int
    last: Comment


def comment(saga: Saga | UUID, step: str, text: str, *, actor: str, key: str = "") -> bool:
    """See `Saga.comment`. `key`: the same comment, sent twice, is one; whether it is new."""
    if not (isinstance(text, str) and text.strip()):
        raise PayloadError("comment: expected a text, got nothing")
    position, _ = find(saga, step)
    store, known = get_store(), saga_key(saga)
    round_ = Step.objects.using(app_settings().DATABASE).filter(saga_id=known, position=position)
    note = Entry(
        None,
        COMMENT,
        store.now(),
        position,
        round=round_.values_list("round", flat=True).first() or 0,
        actor=clean_actor(actor),
        reason=clean(text, what="comment", limit=MAX_MESSAGE),
        note_key=f"{COMMENT}:{clean(key, what='key', limit=64) or uuid4().hex}",
    )
    with store.atomic():
        if store.add_note(known, note, status=None):
            return True
    if not Saga.objects.using(app_settings().DATABASE).filter(pk=known).exists():
        raise not_found(known)
    return False


def talks(items: Iterable[Step]) -> dict[int, Talk]:
    """What was said about each item in its round, by its key: two queries along the index of notes."""
    shown = {(item.saga_id, item.name, item.round): item.pk for item in items}
    if not shown:
        return {}
    sagas = {saga for saga, _step, _round in shown}
    groups = _notes().filter(saga_id__in=sagas).order_by().values("saga_id", "step", "round")
    found = {
        shown[key]: (group["count"], group["last"])
        for group in groups.annotate(count=Count("pk"), last=Max("pk"))
        if (key := (group["saga_id"], group["step"], group["round"])) in shown
    }
    last = {entry.pk: entry for entry in HistoryEntry.objects.using(_alias()).filter(pk__in=_keys(found))}
    return {item: Talk(count, _read(last[key])) for item, (count, key) in found.items() if key in last}


def comments(saga: UUID) -> list[Comment]:
    """What was said about a saga's steps, the oldest first; of many the last ones."""
    # By time first: the planner would walk the primary key of all sagas' histories for the last ones.
    found = list(_notes().filter(saga_id=saga).order_by("-at", "-pk")[:MAX_COMMENTS])
    return [_read(entry) for entry in reversed(found)]


def _notes() -> Any:
    # They all have a key: the partial index of those is short, where a saga's history is long.
    return HistoryEntry.objects.using(_alias()).filter(kind=COMMENT, note_key__isnull=False)


def _alias() -> str:
    return app_settings().DATABASE


def _keys(found: Mapping[int, tuple[int, int]]) -> list[int]:
    return [key for _count, key in found.values()]


def _read(entry: HistoryEntry) -> Comment:
    return Comment(entry.step, entry.actor, entry.reason, entry.at)
