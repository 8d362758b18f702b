"""Filters in the words of the list: what they are called, and what their values mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib.admin.sites import AdminSite
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..engine.batch import WORDS
from ..engine.criteria import NO, NOT_ENDED, YES, CriterionError, moment
from ..models import Saga
from . import words
from .cells import stamp
from .group_filter import group_words

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_TIMES = ("since", "until", "ended_since", "ended_until")


def filter_words(filters: Mapping[str, Any], site: AdminSite) -> list[tuple[str, str]]:
    """Name and value of each."""
    names = _names(site)
    found = []
    for name, value in filters.items():
        title = str(names.get(name, name))
        found.append((title[:1].upper() + title[1:], _value(name, str(value))))
    return found


def _names(site: AdminSite) -> dict[str, StrOrPromise]:
    """As the filters of the saga list call themselves."""
    found: dict[str, StrOrPromise] = {WORDS: _("search")}
    own = site._registry.get(Saga)
    for spec in getattr(own, "list_filter", ()):
        fields = getattr(spec, "fields", None)
        if fields:
            found |= {name: title for name, (title, _help) in fields.items()}
        elif getattr(spec, "parameter_name", None):
            found[spec.parameter_name] = spec.title
    return found


def _value(name: str, value: str) -> str:
    if name in _TIMES:
        try:
            return stamp(moment(value))
        except CriterionError:
            return value
    if name == "group":
        return group_words(value)
    if value in (YES, NO):
        return gettext("Yes") if value == YES else gettext("No")
    if name == "state":
        return gettext("not ended") if value == NOT_ENDED else str(words.state_words(value))
    return str(words.hold_words(value)) if name == "attention" else value
