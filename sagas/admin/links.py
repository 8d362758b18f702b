"""Where numbers lead: addresses of lists with the right filters, in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.utils import quote
from django.urls import reverse

from ..engine.criteria import YES


def sagas(  # noqa: PLR0913 - one per filter
    *,
    name: str = "",
    version: str = "",
    state: str = "",
    attention: str = "",
    stale: bool = False,
    began: str = "",
    ended: str = "",
    group: str = "",
) -> str:
    """The list of these sagas."""
    wanted = {"name": name, "version": version, "state": state, "attention": attention, "group": group}
    wanted |= {
        "stale": YES if stale else "",
        **_span("since", "until", began),
        **_span("ended_since", "ended_until", ended),
    }
    query = urlencode({key: value for key, value in wanted.items() if value})
    url = reverse("admin:sagas_saga_changelist")
    return f"{url}?{query}" if query else url


def hours(begin: datetime, count: int = 1) -> str:
    """So many hours, as `began` or `ended` of `sagas`; beside "24h" and its like, which last until now."""
    end = begin + timedelta(hours=count)
    return f"{begin.astimezone(UTC):%Y-%m-%dT%H:%MZ}/{end.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _span(since: str, until: str, value: str) -> dict[str, str]:
    begin, _slash, end = value.partition("/")
    return {since: begin, until: end}


def saga(ulid: str) -> str:
    """A saga's page."""
    return reverse("admin:sagas_saga_change", args=[quote(ulid)])


def definitions() -> str:
    """The list of definitions."""
    return reverse("admin:sagas_definition_changelist")


def definition(name: str) -> str:
    """A definition's page."""
    return reverse("admin:sagas_definition_change", args=[quote(name)])


def failures(**filters: str) -> str:
    """The list of groups of failures."""
    url = reverse("admin:sagas_failuregroup_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def failure(signature: UUID) -> str:
    """The page of a group of failures."""
    return reverse("admin:sagas_failuregroup_change", args=[quote(str(signature))])


def work(**filters: str) -> str:
    """The list of work items."""
    url = reverse("admin:sagas_workitem_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def workers(**filters: str) -> str:
    """The list of workers."""
    url = reverse("admin:sagas_worker_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def worker(key: object) -> str:
    """A worker's page."""
    return reverse("admin:sagas_worker_change", args=[quote(str(key))])
