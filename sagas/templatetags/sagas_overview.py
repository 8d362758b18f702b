"""`{% saga_overview as overview %}`: what the app's index page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.urls import NoReverseMatch
from django.utils import timezone

if TYPE_CHECKING:
    from ..admin.overview import Overview

register = template.Library()


@register.simple_tag(takes_context=True)
def saga_overview(context: dict[str, Any]) -> Overview | None:
    """The overview; None for who may not see sagas, and on a site that has no page of them."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if request is None or user is None or not user.is_active or not user.has_perm("sagas.view_saga"):
        return None
    # Not before the tag is used: Django reads the tags of all apps for every template engine, with or without an admin.
    from ..admin.overview import overview
    from ..admin.zone import viewers_zone

    try:
        with timezone.override(viewers_zone(request)):
            return overview(user)
    except NoReverseMatch:
        return None
