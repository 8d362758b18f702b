"""In whose time zone times are told: the one that the host project has activated, else the browser's, else the
project's `TIME_ZONE`.

The browser's comes in a cookie that `static/sagas/zone.js` sets. It holds for one request and for the pages of sagas
only: whatever a page of ours was asked for, the next request in this thread finds its zone as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import cache, partial, wraps
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, URLResolver
from django.utils import timezone

#: What the script calls it.
COOKIE = "sagas_zone"

View = Callable[..., HttpResponseBase]


def viewers_zone(request: HttpRequest) -> tzinfo:
    """The zone of who looks. A cookie that names no zone is as good as none."""
    now = timezone.override(None)
    with now:
        pass
    if now.old_timezone is not None:
        # A middleware of the project knows better: its users have chosen.
        return now.old_timezone
    name = request.COOKIES.get(COOKIE, "")
    return ZoneInfo(name) if name in _names() else timezone.get_default_timezone()


@cache
def _names() -> frozenset[str]:
    # Reads the whole directory of zones; nothing that a cookie could name is looked up as a file.
    return frozenset(available_timezones())


def in_viewers_zone(view: View) -> View:
    """A view whose answer tells times, and reads times that are typed, in the viewer's zone."""

    @wraps(view)
    def in_zone(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        zone = viewers_zone(request)
        with timezone.override(zone):
            response = view(request, *args, **kwargs)
        if isinstance(response, SimpleTemplateResponse):
            # It is rendered when the view, and the middleware that may still change it, are through.
            response.render = partial(_render, zone, response.render)  # type: ignore[method-assign]
        return response

    return in_zone


def _render(zone: tzinfo, render: Callable[[], SimpleTemplateResponse]) -> SimpleTemplateResponse:
    with timezone.override(zone):
        return render()


def all_in_viewers_zone(urls: list[Any]) -> list[URLPattern | URLResolver]:
    """The addresses of a `ModelAdmin`, each with such a view."""
    for one in urls:
        if isinstance(one, URLPattern):
            one.callback = in_viewers_zone(one.callback)
    return urls
