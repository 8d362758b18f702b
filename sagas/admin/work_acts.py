"""Taking a work item, giving it back, and saying something about it: one POST each, without a page in between. Nothing
of it can do harm, and each is a line of the saga's history and of the admin's log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..core.errors import SagaError, TransitionNotAllowedError
from ..definitions.ids import parse_id
from ..engine.operate import MAX_ACTOR
from ..engine.steer import give_back, take
from ..engine.work import Allowed, Ask, comment
from ..exceptions import MAX_MESSAGE
from ..models import Saga, Step
from . import cells, links

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_NUMBER = re.compile(r"[0-9]{1,5}")
_KEY = re.compile(r"[0-9a-f]{32}")


def _take(request: HttpRequest, step: Step, actor: str) -> str:
    try:
        take(step.saga_id, step.name, actor=actor)
    except TransitionNotAllowedError:
        owner = Step.objects.using(app_settings().DATABASE).filter(pk=step.pk).values_list("owner", flat=True).first()
        if not owner or owner == actor:
            raise
        raise _TakenError(owner) from None
    return ""


def _give_back(request: HttpRequest, step: Step, actor: str) -> str:
    give_back(step.saga_id, step.name, actor=actor)
    return ""


def _comment(request: HttpRequest, step: Step, actor: str) -> str:
    text, key = request.POST.get("text", "").replace("\r\n", "\n").strip(), request.POST.get("key", "")
    if not text or len(text) > MAX_MESSAGE:
        raise _EmptyError
    comment(step.saga_id, step.name, text, actor=actor, key=key if _KEY.fullmatch(key) else "")
    return text


class _TakenError(Exception):
    """Somebody else has it: their name."""


class _EmptyError(Exception):
    """No comment, or one that is too long."""


@dataclass(frozen=True, slots=True)
class _Act:
    label: StrOrPromise
    told: StrOrPromise
    #: Returns what is to be noted beside it.
    do: Callable[[HttpRequest, Step, str], str]


ACTS: dict[str, _Act] = {
    "take": _Act(_("Take"), _("you look after it now"), _take),
    "give_back": _Act(_("Give back"), _("nobody looks after it now"), _give_back),
    "comment": _Act(_("Comment"), _("the comment is in the saga's history"), _comment),
}


def respond(request: HttpRequest, name: str) -> HttpResponse:
    """Do it, say what came of it, and go back to where it was asked for."""
    if request.method != "POST":
        return HttpResponseRedirect(links.work())
    step = _step(request.POST)
    if step is None:
        messages.error(request, gettext("There is no such step."))
        return HttpResponseRedirect(links.work())
    item = Ask.of(step)
    if not Allowed(request.user, [item]).cares(item):
        raise PermissionDenied
    _do(request, ACTS[name], step)
    return HttpResponseRedirect(_way_back(request.POST, step))


def _do(request: HttpRequest, act: _Act, step: Step) -> None:
    try:
        more = act.do(request, step, request.user.get_username()[:MAX_ACTOR])
    except _TakenError as exc:
        text = gettext("%(owner)s has taken it before you. Nothing was changed.") % {"owner": exc}
        messages.error(request, _about(step, text))
    except _EmptyError:
        text = gettext("Write a comment of at most %(count)d characters. Nothing was changed.") % {"count": MAX_MESSAGE}
        messages.error(request, _about(step, text))
    except SagaError as exc:
        messages.error(request, _about(step, exc.message))
    else:
        note = f"{act.label} ({step.name})" + (f": {more}" if more else "")
        saga = Saga(pk=step.saga_id, name=step.saga.name)
        LogEntry.objects.log_actions(request.user.pk, [saga], CHANGE, note)  # type: ignore[arg-type]
        messages.success(request, _about(step, act.told))


def _about(step: Step, text: object) -> SafeString:
    url = f"{cells.page_of(step.saga_id)}?step={step.position}#step-{step.position}"
    return format_html('<a href="{}">{}: {}</a>: {}', url, step.saga.name, step.name, text)


def _step(post: QueryDict) -> Step | None:
    """The step that a form names. Raises `BadRequest` when no page of ours can have sent it."""
    key, position = parse_id(post.get("saga", "").partition(":")[0]), post.get("step", "")
    if key is None or not _NUMBER.fullmatch(position):
        raise BadRequest("expected saga=<ULID>, and the step's position as step=<number>")
    steps: Any = Step.objects.using(app_settings().DATABASE).select_related("saga")
    columns = ("saga", "position", "name", "hold", "approved_by", "saga__name", "saga__graph")
    found: Step | None = steps.filter(saga_id=key, position=int(position)).only(*columns).first()
    return found


def _way_back(post: QueryDict, step: Step) -> str:
    """The saga's page, or the list as it was filtered; at the item."""
    if post.get("origin") == "page":
        return f"{cells.page_of(step.saga_id)}#item-{step.position}"
    query = QueryDict(post.get("filters", "")).urlencode()
    return links.work() + (f"?{query}" if query else "") + f"#item-{step.pk}"
