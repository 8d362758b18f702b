"""Small pieces of HTML: badges, times, links, JSON. Whatever is stored is escaped on its way out."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.utils import quote
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from ..models import Saga

#: Characters of one JSON value that a page shows.
MAX_JSON = 50_000


def badge(tone: str, text: object) -> SafeString:
    """A coloured word. The word says it all; the colour only helps to find it."""
    return format_html('<span class="saga-badge saga-{}">{}</span>', tone, text)


def stamp(at: datetime) -> str:
    """A time to the second, in the admin's time zone."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def span(time: timedelta) -> str:
    """A length of time in one unit, short enough for a column."""
    seconds = max(int(time.total_seconds()), 0)
    for size, text in _UNITS:
        if seconds >= size:
            return text % {"count": seconds // size}
    return gettext("%(count)d s") % {"count": seconds}


_UNITS = (
    (86_400, gettext_lazy("%(count)d d")),
    (3_600, gettext_lazy("%(count)d h")),
    (60, gettext_lazy("%(count)d min")),
)


def moment(at: datetime) -> SafeString:
    """A time, with its age in the title."""
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _ago(at), stamp(at))


def ago(at: datetime) -> SafeString:
    """ "5 min ago" or "in 5 min", with the time in the title."""
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), stamp(at), _ago(at))


def since(at: datetime | None) -> SafeString:
    """ "5 min", with the time in the title."""
    if at is None:
        return nothing()
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), stamp(at), span(timezone.now() - at))


def _ago(at: datetime) -> str:
    now = timezone.now()
    if at > now:
        return gettext("in %(time)s") % {"time": span(at - now)}
    return gettext("%(time)s ago") % {"time": span(now - at)}


def nothing() -> SafeString:
    """An empty cell."""
    return format_html('<span class="saga-none">{}</span>', "-")


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
    text = whole(value)
    if len(text) <= MAX_JSON:
        return text
    cut = gettext("… cut: the first %(shown)d of %(all)d characters") % {"shown": MAX_JSON, "all": len(text)}
    return f"{text[:MAX_JSON]}\n{cut}"
