"""Columns of the saga list that have to know who asks: why a saga waits, and its subject. No query per row."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..models import Saga
from ..store import get_store
from . import cells, words
from .waits import Crew, reason

Column = Callable[[Saga], SafeString | str]


def why_column() -> Column:
    """Why a person must look, or why it waits; and for how long it has been flagged as stale."""
    crew = Crew(get_store().clock())

    @admin.display(description=_("why it waits, or failed"))
    def why_column(saga: Saga) -> SafeString | str:
        attention = cells.badge("bad", words.hold_words(saga.attention)) if saga.attention else ""
        stale = ""
        if saga.stale_since is not None:
            stale = cells.badge("undoing", format_html(gettext("stale {}"), cells.since(saga.stale_since)))
        phrase = reason(saga, saga.steps.all(), crew)
        if not (attention or stale or phrase):
            return cells.nothing()
        return format_html('{} {} <span class="saga-why">{}</span>', attention, stale, phrase)

    return why_column


def subject_column(request: HttpRequest, site: AdminSite) -> Column:
    """The business object, with a link to its own page in the admin where the user may see it; and whose saga it is."""

    @cache
    def kind(key: int) -> tuple[str, str]:
        """What the model is called, and the name of its page; none where this user has none."""
        found = ContentType.objects.db_manager(app_settings().DATABASE).get_for_id(key)
        model = found.model_class()
        if model is None or not site.is_registered(model):
            return found.name, ""
        if not site.get_model_admin(model).has_view_or_change_permission(request):
            return found.name, ""
        return found.name, f"{site.name}:{found.app_label}_{found.model}_change"

    def subject(saga: Saga) -> SafeString | str:
        key = saga.subject_type_id
        if key is None:
            return _cut(saga.subject_id) if saga.subject_id else ""
        name, page = kind(key)
        text = _cut(f"{name} {saga.subject_id}")
        return _linked(text, page, saga.subject_id) if page else text

    @admin.display(description=_("subject, owner"))
    def subject_column(saga: Saga) -> SafeString | str:
        if saga.subject_type_id is None and not (saga.subject_id or saga.owner):
            return cells.nothing()
        owner = format_html('<div class="quiet">{}</div>', _cut(saga.owner)) if saga.owner else ""
        return format_html("{}{}", subject(saga), owner)

    return subject_column


def _cut(text: str) -> SafeString:
    return format_html('<span class="saga-owner" title="{}">{}</span>', text, text)


def _linked(text: SafeString, page: str, key: str) -> SafeString:
    try:
        return format_html('<a href="{}">{}</a>', reverse(page, args=[quote(key)]), text)
    except NoReverseMatch:
        return text


def columns(request: HttpRequest, site: AdminSite, own: tuple[Any, ...]) -> tuple[Any, ...]:
    """The list's columns: its own, with these behind the first and the second of them."""
    first, second, *rest = own
    return first, subject_column(request, site), second, why_column(), *rest
