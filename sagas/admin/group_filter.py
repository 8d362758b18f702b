"""`GroupFilter`: the sagas of one group of failures. It is there when somebody comes from the failures' page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..engine.criteria import EVER, signature_of
from ..engine.failures import group
from ..models import FailureGroup
from .filters import KnownValuesFilter

#: Characters of a message in the filter's name.
_SHOWN = 60


class GroupFilter(KnownValuesFilter):
    """By the failure that they stand in, or have had."""

    title = _("failure")
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """The group that the address names, in both ways. Without one the filter is not shown."""
        value = request.GET.get("group", "").strip()
        if not value:
            return []
        key = signature_of(value)
        if key is None:
            return [(value, value.replace("\x00", "�")[:80])]
        words = _words(group(key), key)
        return [(key.hex, words), (f"{key.hex}{EVER}", _ever(words))]


def group_words(value: str) -> str:
    """What a value of the filter says: one query."""
    key = signature_of(value)
    if key is None:
        return value
    words = _words(group(key), key)
    return _ever(words) if value.strip().endswith(EVER) else words


def _ever(words: str) -> str:
    return gettext("the same, also those that need nobody now: %(failure)s") % {"failure": words}


def _words(found: FailureGroup | None, key: UUID) -> str:
    if found is None:
        return gettext("unknown failure %(key)s …") % {"key": key.hex[:8]}
    text = Truncator(found.pattern).chars(_SHOWN)
    return f"{found.step}, {found.code}: {text}" if text else f"{found.step}, {found.code}"
