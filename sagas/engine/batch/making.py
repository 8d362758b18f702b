"""Making a batch: first the look at what it would be about, then the row that the workers find."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from ...conf import app_settings
from ...core.errors import PayloadError
from ...definitions.ids import first_id
from ...exceptions import MAX_MESSAGE, BatchError
from ...models import Batch, Saga
from ...store import get_store
from ..operate import clean, clean_actor
from .wishes import COUNTED, check_allowed, check_verb, matching, read_filters

#: Sagas per second.
DEFAULT_RATE, MIN_RATE, MAX_RATE = 5.0, 0.1, 100.0
#: Sagas that a preview shows.
SAMPLE = 5
#: The batch's number stands before the reason in each saga's history.
MAX_REASON = MAX_MESSAGE - 50

#: What a list of sagas reads; no payloads.
_LIGHT = ("id", "name", "state", "attention", "paused_at", "error_code", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a batch would be about."""

    filters: dict[str, str]
    #: 1001 at most, which means more than a thousand.
    count: int
    #: The newest of them.
    sample: list[Saga]
    #: Sagas behind it are not meant: they come later.
    upto: UUID


def preview(filters: Mapping[str, Any], upto: UUID | None = None) -> Preview:
    """Which sagas these filters find now; with `upto`, those of an earlier look. Raises `BatchError`."""
    read = read_filters(filters)
    found = matching(read)
    if upto is not None:
        found = found.filter(pk__lte=upto)
    sample = list(found.only(*_LIGHT).order_by("-pk")[:SAMPLE])
    newest = first_id(get_store().now())
    # Who starts sagas may have a clock that is a bit ahead.
    bound = upto or max([newest, *(saga.pk for saga in sample[:1])])
    return Preview(read, found.order_by()[:COUNTED].count(), sample, bound)


def create(  # noqa: PLR0913
    verb: str,
    filters: Mapping[str, Any],
    *,
    reason: str,
    actor: str = "",
    user: Any = None,
    rate: float = DEFAULT_RATE,
    upto: UUID | None = None,
) -> Batch:
    """Make a batch: the workers begin with it within a second or two.

    `user`: in whose name; asked for permission here, and for every saga again when its turn has come. None: code, which
    is trusted. `rate`: sagas per second. `upto`: the newest saga that is meant, from a preview.
    Raises `BatchError`, `BatchNotAllowedError`, `PayloadError`.
    """
    check_verb(verb)
    seen = preview(filters, upto)
    if user is not None:
        check_allowed(user, verb, seen.filters)
    if not reason.strip():
        raise PayloadError("reason: expected why it is done, got nothing; it stays in the sagas' histories")
    if not seen.count:
        raise BatchError(gettext("No saga matches these filters."))
    now = get_store().now()
    batch: Batch = Batch.objects.using(app_settings().DATABASE).create(
        verb=verb,
        filters=seen.filters,
        reason=clean(reason, what="reason", limit=MAX_REASON),
        actor=clean_actor(actor),
        user_key="" if user is None else str(user.pk),
        rate=_rate(rate),
        upto=seen.upto,
        expected=seen.count,
        created_at=now,
        next_at=now,
    )
    return batch


def _rate(rate: float) -> float:
    if not (isinstance(rate, (int, float)) and math.isfinite(rate) and MIN_RATE <= rate <= MAX_RATE):
        raise BatchError(
            gettext("expected %(least)g to %(most)g sagas per second, got %(value)s")
            % {"least": MIN_RATE, "most": MAX_RATE, "value": rate}
        )
    return float(rate)
