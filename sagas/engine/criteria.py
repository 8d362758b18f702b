"""What sagas can be found by: one criterion per name, each a text, each answered by an index.

The admin's list takes them from the address bar; whoever must find the same sagas later takes them from a row. None
reads a payload, and none is answered by reading the whole table (docs/decisions.md says which index answers what).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext

from ..core.states import ALIVE, Hold, SagaState, StepStatus
from ..definitions.ids import first_id, parse_id
from ..exceptions import SagaError
from ..models import FailedSaga, Saga, Step

Sagas = QuerySet[Saga]

YES, NO = "yes", "no"
#: In place of a state: those that have not ended.
NOT_ENDED = "alive"
#: Behind the signature of a group of failures: those too that need nobody any more.
EVER = "-ever"
#: A saga that ended at a time is looked for among those that were started so long before: ids tell when that was.
LONGEST = timedelta(days=31)
#: Statuses of a step that did not go well.
BAD_ENDS = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.COMPENSATION_FAILED)
#: Why a person must look: the holds of steps, and that of a saga.
REASONS = (*(hold.value for hold in Hold if hold), "deadline")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN = re.compile(r"([1-9]\d{0,4}) ?(min|h|d)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days"}


class CriterionError(SagaError):
    """That is not what sagas can be found by. The text says what is expected."""


def by_state(sagas: Sagas, value: str) -> Sagas:
    """In a state; or in any in which a saga has not ended."""
    if _one_of([*(state.value for state in SagaState), NOT_ENDED], value) == NOT_ENDED:
        return sagas.filter(state__in=ALIVE)
    return sagas.filter(state=value)


def by_name(sagas: Sagas, value: str) -> Sagas:
    """Of a definition."""
    return sagas.filter(name=_text(value, 100))


def by_version(sagas: Sagas, value: str) -> Sagas:
    """Of a version of a definition; to be asked together with `name`."""
    return sagas.filter(version=_text(value, 50))


def by_attention(sagas: Sagas, value: str) -> Sagas:
    """Whether a person must look; or why."""
    if _one_of([YES, NO, *REASONS], value) == NO:
        return sagas.filter(attention="")
    found = sagas.exclude(attention="")
    return found if value == YES else found.filter(attention=value)


def by_stale(sagas: Sagas, value: str) -> Sagas:
    """Whether they are flagged as stale."""
    return sagas.filter(stale_since__isnull=_one_of([YES, NO], value) == NO)


def by_paused(sagas: Sagas, value: str) -> Sagas:
    """Whether somebody has paused them."""
    return sagas.filter(paused_at__isnull=_one_of([YES, NO], value) == NO)


def by_step(sagas: Sagas, value: str) -> Sagas:
    """Whose step of that name failed, may have failed, or could not be undone."""
    name = _text(value, 100)
    steps = Step.objects.using(sagas.db).filter(name=name)
    # Two questions: an index answers the second alone. No index may know a status (each update would have to renew it),
    # and to read the rows of all that ever had an error takes seconds where they are not in memory: only those are
    # read that everything else has let through.
    failed = steps.filter(saga_id=OuterRef("pk"), status__in=BAD_ENDS)
    return sagas.filter(Exists(failed), pk__in=steps.exclude(error_code="").values("saga_id"))


def by_error(sagas: Sagas, value: str) -> Sagas:
    """With that error code."""
    return sagas.filter(error_code=_text(value, 100))


def by_tag(sagas: Sagas, value: str) -> Sagas:
    """With that tag."""
    tag = _text(value, 4096)
    if connections[sagas.db].vendor == "sqlite":
        return sagas.filter(pk__in=RawSQL(_WITH_TAG, [tag]))  # noqa: S611 - the tag is a parameter
    # The second half is what the index says of itself.
    return sagas.filter(tags__contains=[tag]).exclude(tags=[])


_WITH_TAG = "SELECT s.id FROM sagas_saga s, json_each(s.tags) e WHERE e.value = %s"


def by_owner(sagas: Sagas, value: str) -> Sagas:
    """Of an owner."""
    return sagas.filter(owner=_text(value, 150))


def by_since(sagas: Sagas, value: str) -> Sagas:
    """Started then or later. A child saga counts as started with its parent: their ids say so."""
    return sagas.filter(pk__gte=first_id(moment(value)))


def by_until(sagas: Sagas, value: str) -> Sagas:
    """Started before then."""
    return sagas.filter(pk__lt=first_id(moment(value)))


def by_ended_since(sagas: Sagas, value: str) -> Sagas:
    """Ended then or later: of those that were started within a month before."""
    at = moment(value)
    return sagas.filter(completed_at__gte=at, pk__gte=first_id(max(at - LONGEST, EPOCH)))


def by_ended_until(sagas: Sagas, value: str) -> Sagas:
    """Ended before then."""
    at = moment(value)
    # A starter's clock may be a bit ahead.
    return sagas.filter(completed_at__lt=at, pk__lt=first_id(at + timedelta(hours=1)))


def signature_of(value: str) -> UUID | None:
    """The group of failures that a value of `group` names, however it asks for it; None where it is none."""
    found = re.fullmatch(r"([0-9a-f]{32})(?:-ever)?", value.strip())
    return UUID(found[1]) if found else None


def by_group(sagas: Sagas, value: str) -> Sagas:
    """That stand failed as the failures of a group do, and need somebody; with `-ever`: or did so in the last weeks."""
    key = signature_of(value)
    if key is None:
        raise CriterionError(
            gettext("expected the signature of a group of failures, got “%(value)s”") % {"value": _shown(value)}
        )
    members = FailedSaga.objects.using(sagas.db).filter(group_id=key)
    if value.strip().endswith(EVER):
        return sagas.filter(pk__in=members.values("saga_id"))
    # What has moved on since they were counted last needs nobody.
    needy = sagas.filter(Q(state=SagaState.FAILED) | ~Q(attention=""))
    return needy.filter(pk__in=members.filter(open=True).values("saga_id"))


CRITERIA: Mapping[str, Callable[[Sagas, str], Sagas]] = {
    "state": by_state,
    "name": by_name,
    "version": by_version,
    "attention": by_attention,
    "stale": by_stale,
    "paused": by_paused,
    "step": by_step,
    "error": by_error,
    "group": by_group,
    "tag": by_tag,
    "owner": by_owner,
    "since": by_since,
    "until": by_until,
    "ended_since": by_ended_since,
    "ended_until": by_ended_until,
}


def by_words(sagas: Sagas, words: str) -> Sagas:
    """By ULID, UUID, idempotency key, owner, or subject ("orders.order:42", or "42"): each in full."""
    words = words.strip()
    if "\x00" in words:
        return sagas.none()
    found = parse_id(words)
    ways = Q(idempotency_key=words) | Q(owner=words, owner__gt="") | _about(sagas.db, words)
    if found is not None:
        # A subject's key, or an idempotency key, may be a UUID too.
        ways |= Q(pk=found)
    return sagas.filter(ways)


def _about(alias: str, words: str) -> Q:
    """Sagas with that subject."""
    kinds = ContentType.objects.using(alias).values_list("pk", "app_label", "model")
    named, _colon, key = words.partition(":")
    ways = Q(subject_type__in=[kind for kind, _app, _model in kinds], subject_id=words)
    for kind, app, model in kinds:
        if key and f"{app}.{model}" == named.lower():
            ways |= Q(subject_type=kind, subject_id=key.strip())
    return ways


def moment(value: str) -> datetime:
    """A time: "24h" (ago; also min and d), "2026-11-21" or "2026-11-21 15:04", in the current time zone. Raises
    `CriterionError`."""
    try:
        at = _read(value.strip())
        if at is not None:
            first_id(at)
            return at
    except (ValueError, OverflowError):
        pass
    raise CriterionError(
        gettext("expected a time such as 24h, 7d, 2026-11-21 or 2026-11-21 15:04, got “%(value)s”")
        % {"value": _shown(value)}
    )


def _read(value: str) -> datetime | None:
    span = _SPAN.fullmatch(value)
    if span:
        return timezone.now() - timedelta(**{_UNITS[span[2]]: int(span[1])})
    day = parse_date(value)
    at = datetime.combine(day, time()) if day else parse_datetime(value)
    return timezone.make_aware(at) if at is not None and timezone.is_naive(at) else at


def _one_of(known: list[str], value: str) -> str:
    if value not in known:
        expected = ", ".join(known)
        raise CriterionError(
            gettext("expected one of %(expected)s, got “%(value)s”") % {"expected": expected, "value": _shown(value)}
        )
    return value


def _text(value: str, longest: int) -> str:
    value = value.strip()
    if not value or "\x00" in value or len(value) > longest:
        raise CriterionError(
            gettext("expected a text of at most %(longest)d characters, got “%(value)s”")
            % {"longest": longest, "value": _shown(value)}
        )
    return value


def _shown(value: str) -> str:
    return value.replace("\x00", "�")[:80]
