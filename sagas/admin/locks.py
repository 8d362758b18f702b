"""Where a saga stands with its semantic lock: who has it, and who stands in line. One query, of a few rows."""

from __future__ import annotations

from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from ..conf import app_settings
from ..core.states import Lock
from ..models import Saga, SagaLock
from .cells import saga_link

#: Sagas that are named behind a holder. The line may be long, and its length is not looked for.
MAX_NAMED = 5


def lock_fact(saga: Saga) -> SafeString | str:
    """The lock's key, and what there is to say of it; one that has ended has given it up."""
    if not saga.lock_key or not saga.lock_state:
        return saga.lock_key
    line = _line(saga.lock_key)
    if saga.lock_state == Lock.HELD:
        behind = [one for one in line if one.pk != saga.pk]
        return format_html("{} {}{}", saga.lock_key, gettext("(held)"), _behind(behind))
    return format_html("{} {}{}", saga.lock_key, gettext("(it waits for it)"), _holder(saga.pk, line))


def _line(key: str) -> list[Saga]:
    """The holder and who comes after it, in turn."""
    rows = SagaLock.objects.using(app_settings().DATABASE).filter(key=key).order_by("-held", "id")
    found = rows.values_list("saga_id", "saga__name")[: MAX_NAMED + 2]
    return [Saga(pk=key, name=name) for key, name in found]


def _holder(own: UUID, line: list[Saga]) -> SafeString | str:
    """The first in line; none where it has ended while we looked."""
    if not line or line[0].pk == own:
        return ""
    return format_html(", {} {}", gettext("held by"), saga_link(line[0]))


def _behind(waiting: list[Saga]) -> SafeString | str:
    if not waiting:
        return ""
    links = format_html_join(", ", "{}", ((saga_link(one),) for one in waiting[:MAX_NAMED]))
    more = gettext(" and others") if len(waiting) > MAX_NAMED else ""
    text = ngettext("behind it waits", "behind it wait", len(waiting))
    return format_html(", {} {}{}", text, links, more)
