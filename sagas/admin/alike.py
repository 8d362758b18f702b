"""Failures that are alike, on other pages than their own: the worst of the day, and those like a saga's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from ..core.states import SagaState
from ..engine.failures import Lately, alike, top
from ..models import Saga
from . import cells, links

#: Groups on the overview.
MOST = 5


@dataclass(frozen=True, slots=True)
class Worst:
    """A line of the overview."""

    name: str
    step: str
    code: SafeString
    pattern: str
    url: str
    lately: str
    #: Sagas that need somebody for it, and their list; empty where there are none.
    open: str
    open_url: str
    last: SafeString


def worst(now: datetime) -> list[Worst]:
    """The failures of the last 24 hours, the most frequent first. One query."""
    return [_worst(one) for one in top(now, MOST)]


def _worst(one: Lately) -> Worst:
    group = one.group
    return Worst(
        name=group.name,
        step=group.step,
        code=cells.badge("bad", group.code),
        pattern=group.pattern,
        url=links.failure(group.pk),
        lately=cells.number(one.count),
        open=cells.number(group.open),
        open_url=links.sagas(group=group.pk.hex) if group.open else "",
        last=cells.ago(group.last_seen),
    )


def fact(saga: Saga) -> SafeString | str:
    """On a saga's page: how many others need somebody for the same reason. One query, or none."""
    if not (saga.error_code or saga.attention or saga.state == SagaState.FAILED):
        return ""
    found = alike(saga.pk)
    if found is None:
        return ""
    group = found.group
    if not found.others:
        text = gettext("no other saga now; all failures of this kind")
        return format_html('<a href="{}">{}</a>', links.failure(group.pk), text)
    others = ngettext("%(count)s other saga", "%(count)s other sagas", found.others)
    others %= {"count": cells.number(found.others)}
    return format_html(
        '<a href="{}">{}</a> (<a href="{}">{}</a>)',
        links.sagas(group=group.pk.hex),
        others,
        links.failure(group.pk),
        gettext("all failures of this kind"),
    )
