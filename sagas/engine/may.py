"""Who may do what to which sagas: the one place that the admin and the REST API ask.

A verb takes its permission; `SAGAS["OPERATORS"]` may limit it further, for the sagas of a definition, to the members of
groups or the holders of other permissions. A limit never grants anything. Code that calls `saga.compensate()` and its
like is trusted, and not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..conf import app_settings
from ..core.verbs import ALL, PERMISSIONS

#: Where a user's groups are kept for the time of a request.
_GROUPS = "_sagas_groups"


def permission(verb: str) -> str:
    """The permission that a verb takes, as `user.has_perm` wants it."""
    return f"sagas.{PERMISSIONS[verb]}"


def may(user: Any, verb: str, name: str | None = None) -> bool:
    """Whether a user may do this to sagas of the definition `name`; None: to sagas at all."""
    if not user.has_perm(permission(verb)):
        return False
    return name is None or is_one_of(user, operators(verb, name))


def operators(verb: str, name: str) -> tuple[str, ...] | None:
    """To whom a verb is limited for the sagas of a definition: groups and permissions. None: it is not.

    The nearest limit counts: the definition's own for the verb, its own for all verbs, then those of all definitions.
    """
    limits = app_settings().OPERATORS
    for of in (limits.get(name), limits.get(ALL)):
        found = _limit(of or {}, verb)
        if found is not None:
            return found
    return None


def _limit(of: Mapping[str, tuple[str, ...]], verb: str) -> tuple[str, ...] | None:
    return of[verb] if verb in of else of.get(ALL)


def is_one_of(user: Any, wanted: Iterable[str] | None) -> bool:
    """Whether a user has one of these permissions, or is in one of these groups; None: whoever it is."""
    if wanted is None:
        return True
    names = list(wanted)
    return any(user.has_perm(name) for name in names) or not _groups(user).isdisjoint(names)


def _groups(user: Any) -> frozenset[str]:
    """Asked for once: a list of sagas asks for each."""
    found: frozenset[str] | None = getattr(user, _GROUPS, None)
    if found is None:
        # Not every project's users have groups.
        groups = getattr(user, "groups", None) if user.is_active else None
        found = frozenset(() if groups is None else groups.values_list("name", flat=True))
        setattr(user, _GROUPS, found)
    return found
