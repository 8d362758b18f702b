"""The sagas around one: the saga that started it, and those that its steps have started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..conf import app_settings
from ..definitions.ids import id_text
from ..models import Saga, Step
from . import cells, words
from .drawing import by_need

#: Child sagas that are named; a list may have a thousand.
MAX_CHILDREN = 50


@dataclass(frozen=True, slots=True)
class Relative:
    """A saga beside this one."""

    #: Parent, or the step that has started it.
    relation: str
    link: SafeString | str
    state: SafeString | str
    #: Why a person must look at it.
    attention: SafeString | str
    age: SafeString | str


@dataclass(frozen=True, slots=True)
class Family:
    """All that is shown of them."""

    relatives: list[Relative]
    #: Children that are not named.
    more: int


def family(saga: Saga, steps: Sequence[Step]) -> Family | None:
    """Parent and children in one query, of those that need somebody first; None without any."""
    children = by_need(step for step in steps if step.child_id)
    named = children[:MAX_CHILDREN]
    keys = [key for key in (saga.parent_id, *(step.child_id for step in named)) if key]
    if not keys:
        return None
    columns = ("name", "state", "attention", "created_at")
    found: dict[Any, Saga] = Saga.objects.using(app_settings().DATABASE).only(*columns).in_bulk(keys)
    relatives = []
    if saga.parent_id:
        text = gettext("parent, by its step %(step)s") % {"step": saga.parent_step}
        relatives.append(_relative(text, saga.parent_id, found))
    for step in sorted(named, key=lambda step: step.position):
        text = gettext("child, of the step %(step)s") % {"step": step.name}
        relatives.append(_relative(text, step.child_id, found))
    return Family(relatives, len(children) - len(named))


def _relative(text: str, key: Any, found: dict[Any, Saga]) -> Relative:
    saga = found.get(key)
    if saga is None:
        return Relative(text, id_text(key), gettext("there is no such saga (any more)"), "", "")
    attention = cells.badge("bad", words.hold_words(saga.attention)) if saga.attention else ""
    return Relative(text, cells.saga_link(saga), words.state_badge(saga), attention, cells.ago(saga.created_at))
