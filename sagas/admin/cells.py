"""Small pieces of HTML: badges, times, links, JSON. Whatever is stored is escaped on its way out."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin.utils import quote
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from ..definitions.ids import id_text
from ..models import Saga

#: Characters of one JSON value that a page shows; the whole has a page of its own.
MAX_JSON = 10_000


def badge(tone: str, text: object) -> SafeString:
    """A coloured word. The word says it all; the colour only helps to find it."""
    return format_html('<span class="saga-badge saga-{}">{}</span>', tone, text)


def stamp(at: datetime) -> str:
    """A time to the second, in the viewer's zone; written as the filters read it, whatever the language."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def _exact(at: datetime) -> str:
    """With the zone's short name: an hour comes twice when summer ends."""
    return f"{stamp(at)} {_zone(at)}"


def _zone(at: datetime) -> str:
    """What the viewer's zone is called at that time: CET, or +03."""
    return timezone.localtime(at).tzname() or timezone.get_current_timezone_name()


def span(time: timedelta) -> str:
    """A length of time in one unit, short enough for a column."""
    seconds = max(int(time.total_seconds()), 0)
    for size, text in _UNITS:
        if seconds >= size:
            return text % {"count": seconds // size}
    return gettext("%(count)d s") % {"count": seconds}


def length(time: timedelta) -> str:
    """How long something took: in two units, or in milliseconds."""
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 1:
        return gettext("%(count)d ms") % {"count": round(seconds * 1000)}
    if seconds < 60:
        return gettext("%(count)s s") % {
            "count": formats.number_format(round(seconds, 1), 0 if round(seconds, 1) % 1 == 0 else 1)
        }
    for (size, text), (smaller, rest) in zip(_UNITS, (*_UNITS[1:], (1, _SECONDS)), strict=True):
        if seconds >= size:
            left = int(seconds % size) // smaller
            return f"{text % {'count': int(seconds) // size}} {rest % {'count': left}}" if left else span(time)
    return span(time)


_SECONDS = gettext_lazy("%(count)d s")
_UNITS = (
    (86_400, gettext_lazy("%(count)d d")),
    (3_600, gettext_lazy("%(count)d h")),
    (60, gettext_lazy("%(count)d min")),
)


def moment(at: datetime) -> SafeString:
    """A time, with its age in the title."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{_ago(at)} · {_zone(at)}", stamp(at)
    )


def ago(at: datetime) -> SafeString:
    """ "5 min ago" or "in 5 min", with the time in the title."""
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _exact(at), _ago(at))


def since(at: datetime | None) -> SafeString:
    """ "5 min", with the time in the title."""
    if at is None:
        return nothing()
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), _exact(at), span(timezone.now() - at)
    )


def _ago(at: datetime) -> str:
    now = timezone.now()
    if at > now:
        return gettext("in %(time)s") % {"time": span(at - now)}
    return gettext("%(time)s ago") % {"time": span(now - at)}


def number(value: int) -> str:
    """A number of things, with its thousands set apart."""
    return formats.number_format(value, force_grouping=True)


def lasting(seconds: float | None) -> str:
    """A duration, to two digits or so."""
    if seconds is None:
        return ""
    if seconds < 1:
        return gettext("%(count)s ms") % {"count": formats.number_format(max(round(seconds * 1000), 1))}
    if seconds < 100:
        return gettext("%(count)s s") % {"count": formats.number_format(seconds, 1 if seconds < 10 else 0)}
    return span(timedelta(seconds=seconds))


def percent(share: float | None) -> str:
    """A share of all; never 100 % unless it is all of them."""
    if share is None:
        return ""
    shown = min(round(share * 100, 1), 99.9) if share < 1 else 100.0
    return gettext("%(count)s %%") % {"count": formats.number_format(shown, 0 if shown in (0, 100) else 1)}


def nothing() -> SafeString:
    """An empty cell."""
    return format_html('<span class="saga-none">{}</span>', "-")


def page_of(key: UUID) -> str:
    """The page of the saga with this key."""
    return reverse("admin:sagas_saga_change", args=[id_text(key)])


def page_link(key: UUID) -> SafeString:
    """A link to the page of the saga with this key, by its ULID alone."""
    return format_html('<a href="{}">{}</a>', page_of(key), id_text(key))


def saga_url(saga: Saga) -> str:
    """The saga's page."""
    return reverse("admin:sagas_saga_change", args=[quote(saga.ulid)])


def saga_link(saga: Saga) -> SafeString:
    """A link that names the saga."""
    return format_html('<a href="{}">{} <code>{}</code></a>', saga_url(saga), saga.name, saga.ulid)


def whole(value: Any) -> str:
    """A JSON value as indented text, to be edited."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def pretty(value: Any) -> str:
    """A JSON value as indented text, cut where a page would drown in it."""
    return cut(whole(value))


def cut(text: str) -> str:
    """The beginning of a text that is too long for a page."""
    if len(text) <= MAX_JSON:
        return text
    note = gettext("… cut: the first %(shown)d of %(all)d characters") % {"shown": MAX_JSON, "all": len(text)}
    return f"{text[:MAX_JSON]}\n{note}"
