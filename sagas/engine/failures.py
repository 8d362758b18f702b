"""What the groups of failures say, for pages: a constant number of queries, and none of them reads sagas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Sum

from ..conf import app_settings
from ..models import FailedSaga, FailureGroup, FailureHour
from .rollup.reading import HOURS, first_hour


@dataclass(frozen=True, slots=True)
class Lately:
    """A group, and how often it failed in the last hours."""

    group: FailureGroup
    count: int


@dataclass(frozen=True, slots=True)
class Alike:
    """The group in which a saga stands, or stood last."""

    group: FailureGroup
    #: Other sagas that stand so now.
    others: int


def hours_of(groups: Iterable[UUID], now: datetime) -> Mapping[UUID, Mapping[datetime, int]]:
    """Failures in each of the last hours, by group. One query."""
    begin, keys = first_hour(now), list(groups)
    found = {key: {begin + timedelta(hours=at): 0 for at in range(HOURS)} for key in keys}
    rows = FailureHour.objects.using(app_settings().DATABASE).filter(group_id__in=keys, hour__gte=begin)
    for key, hour, count in rows.values_list("group_id", "hour", "count"):
        found[key][hour.astimezone(UTC)] = count
    return found


def top(now: datetime, most: int) -> list[Lately]:
    """The groups that failed most often in the last hours. One query."""
    groups = FailureGroup.objects.using(app_settings().DATABASE).defer("example")
    lately = groups.filter(hours__hour__gte=first_hour(now)).annotate(lately=Sum("hours__count"))
    return [Lately(group, group.lately) for group in lately.order_by("-lately", "-last_seen")[:most]]


def alike(saga: UUID) -> Alike | None:
    """The group that a saga is in; None for one that never failed. One query."""
    members = FailedSaga.objects.using(app_settings().DATABASE).filter(saga_id=saga)
    found = members.select_related("group").order_by("-open", "-at").first()
    if found is None:
        return None
    return Alike(found.group, max(found.group.open - found.open, 0))


def group(signature: UUID) -> FailureGroup | None:
    """The group of that signature. One query."""
    return FailureGroup.objects.using(app_settings().DATABASE).filter(pk=signature).first()
