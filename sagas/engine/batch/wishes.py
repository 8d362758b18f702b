"""What a batch is to do, and to which sagas: the names and values of the admin's filters, held against
`sagas.engine.criteria`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext

from ...conf import app_settings
from ...core.errors import PayloadError
from ...exceptions import BatchError, BatchNotAllowedError
from ...models import Saga
from .. import operate
from ..criteria import CRITERIA, CriterionError, by_words, moment
from ..may import may

#: Verb → the engine's use case: those that can be chosen in the admin's list.
VERBS: Mapping[str, Callable[..., Saga]] = {
    "compensate": operate.compensate,
    "cancel": operate.cancel,
    "retry": operate.retry,
    "run_now": operate.run_now,
    "pause": operate.pause,
    "resume": operate.resume,
}
#: Among the filters: words that were searched for.
WORDS = "q"
#: Sagas are counted so far and no further.
COUNTED = 1001
#: The longest words that are searched for.
MAX_WORDS = 1000

#: Filters that may be given relative to now.
_TIMES = ("since", "until", "ended_since", "ended_until")


def read_filters(given: Mapping[str, Any]) -> dict[str, str]:
    """The filters as they are kept: without empty ones, and with times that mean tomorrow what they mean now.

    Raises `BatchError` for unknown names, values that make no sense, and where there is no filter at all.
    """
    unknown = sorted(name for name in given if name not in CRITERIA and name != WORDS)
    if unknown:
        raise BatchError(
            gettext("“%(name)s” is no filter; expected some of %(known)s")
            % {"name": unknown[0][:80], "known": ", ".join([*CRITERIA, WORDS])}
        )
    found = {name: _clean(name, value) for name, value in given.items()}
    found = {name: value for name, value in found.items() if value}
    if not found:
        raise BatchError(gettext("Set a filter, or search for something: a batch is never about all sagas."))
    if "version" in found and "name" not in found:
        raise BatchError(gettext("Choose a definition as well as a version: each counts its own versions."))
    for name in _TIMES:
        if name in found:
            found[name] = _checked(name, lambda value: moment(value).isoformat(), found[name])
    matching(found)
    return found


def _clean(name: str, value: Any) -> str:
    try:
        return operate.clean(value, what=name, limit=MAX_WORDS).strip()
    except PayloadError as exc:
        raise BatchError(exc.message) from exc


def _checked(name: str, read: Callable[[str], Any], value: str) -> Any:
    try:
        return read(value)
    except CriterionError as exc:
        raise BatchError(f"{name}: {exc}") from exc


def matching(filters: Mapping[str, str]) -> QuerySet[Saga]:
    """The sagas that these filters find. Raises `BatchError`."""
    sagas: QuerySet[Saga] = Saga.objects.using(app_settings().DATABASE).all()
    for name, value in filters.items():
        if name == WORDS:
            sagas = by_words(sagas, value)
            continue
        if name not in CRITERIA:  # of a row that another version has written
            raise BatchError(gettext("“%(name)s” is no filter any more") % {"name": name})
        sagas = _checked(name, lambda value, name=name, sagas=sagas: CRITERIA[name](sagas, value), value)  # type: ignore[misc]
    return sagas


def check_verb(verb: str) -> None:
    """Raises `BatchError` for one that is not for many sagas."""
    if verb not in VERBS:
        raise BatchError(
            gettext("expected one of %(expected)s, got “%(value)s”")
            % {"expected": ", ".join(VERBS), "value": str(verb)[:80]}
        )


def check_allowed(user: Any, verb: str, filters: Mapping[str, str]) -> None:
    """Whether a user may make or steer such a batch. Where the filters name no definition, its sagas are asked for one
    by one. Raises `BatchNotAllowedError`."""
    name = filters.get("name") or None
    if not may(user, verb, name):
        raise BatchNotAllowedError(
            gettext("you may not do this to sagas %(name)s; somebody who may is needed") % {"name": name or ""}
        )
