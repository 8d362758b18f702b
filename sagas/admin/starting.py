"""Starting a saga: the choice of a definition, its form, and "start again like this one". A GET starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext

from ..definitions.definition import SagaDefinition
from ..definitions.ids import parse_id
from ..definitions.registry import registry
from ..engine.by_hand import start_by_hand
from ..engine.may import may
from ..engine.operate import MAX_ACTOR
from ..exceptions import DuplicateSagaError, LockHeldError, SagaError
from ..models import Saga
from .cells import saga_link, saga_url
from .start_form import StartForm
from .told import told

if TYPE_CHECKING:
    from .saga import SagaAdmin


@dataclass(frozen=True, slots=True)
class Choice:
    """A definition that the user may start."""

    name: str
    version: str
    about: str
    url: str


def choose(model_admin: SagaAdmin, request: HttpRequest) -> HttpResponse:
    """The definitions that the user may start."""
    known = sorted(registry.definitions.items())
    choices = [
        Choice(name, found.version, _about(found), reverse("admin:sagas_saga_start", args=[name]))
        for name, found in known
        if may(request.user, "start", name)
    ]
    return _page(model_admin, request, "start.html", gettext("Start a saga"), {"choices": choices})


def again_url(request: HttpRequest, saga: Saga) -> str:
    """The address of the form that is filled in like this saga; empty when the user may not, or nobody can."""
    if saga.name not in registry.definitions or not may(request.user, "start", saga.name):
        return ""
    return reverse("admin:sagas_saga_start", args=[saga.name]) + f"?like={saga.ulid}"


def respond(model_admin: SagaAdmin, request: HttpRequest, name: str) -> HttpResponse:
    """The form; a POST of it starts the saga, or says what is wrong."""
    definition = registry.definitions.get(name)
    if definition is None:
        raise Http404
    if not may(request.user, "start", name):
        raise PermissionDenied
    like = _like(model_admin, request, name)
    data = request.POST if request.method == "POST" else None
    form = StartForm(definition, request, model_admin.admin_site, data=data, like=like, as_json="json" in request.GET)
    if data is not None and form.is_valid():
        saga = _start(request, definition, form, like)
        if saga is not None:
            return HttpResponseRedirect(saga_url(saga))
    title = gettext("Start %(name)s") % {"name": name}
    context = {"form": form, "definition": definition, "about": _about(definition), "like": like and saga_link(like)}
    context |= {"steps": _steps(definition), "json_url": _json_url(request) if form.has_fields else ""}
    return _page(model_admin, request, "start_form.html", title, context)


def _like(model_admin: SagaAdmin, request: HttpRequest, name: str) -> Saga | None:
    """The saga to begin from, which the user must be able to see."""
    text = request.GET.get("like")
    if text is None:
        return None
    key = parse_id(text)
    found: Saga | None = model_admin.get_queryset(request).filter(pk=key, name=name).first() if key else None
    if found is None:
        raise Http404
    return found


def _start(request: HttpRequest, definition: type[SagaDefinition], form: StartForm, like: Saga | None) -> Saga | None:
    """One engine call; None when it was refused, which the form says then."""
    options = form.options()
    actor = request.user.get_username()[:MAX_ACTOR]
    try:
        saga = start_by_hand(definition, actor=actor, like=like, **options)
    except DuplicateSagaError as exc:
        form.add_error("idempotency_key", _with_link(told(exc.message), exc.details.get("saga_id")))
    except LockHeldError as exc:
        form.add_error(None, _with_link(told(exc.message), parse_id(str(exc.details.get("holder", "")))))
    except SagaError as exc:
        form.refuse(exc.message)
    else:
        _tell(request, saga, options["reason"])
        return saga
    return None


def _tell(request: HttpRequest, saga: Saga, reason: str) -> None:
    """To the operator, and into the admin's log."""
    if not saga.was_created:
        text = gettext("Nothing was started: under this idempotency key there is a saga already, {}")
        messages.warning(request, format_html(text, saga_link(saga)))
        return
    note = gettext("Start: %(reason)s") % {"reason": reason}
    LogEntry.objects.log_actions(request.user.pk, [saga], ADDITION, note)  # type: ignore[arg-type]
    messages.success(request, format_html(gettext("The saga is started: {}"), saga_link(saga)))


def _with_link(message: str, key: Any) -> str:
    saga = None if key is None else Saga.objects.filter(pk=key).first()
    return message if saga is None else format_html("{}: {}", message, saga_link(saga))


def _about(definition: type[SagaDefinition]) -> str:
    """The first line that its author has written about it."""
    text = cleandoc(definition.__dict__.get("__doc__") or "")
    return text.partition("\n\n")[0].replace("\n", " ")


def _steps(definition: type[SagaDefinition]) -> Sequence[Any]:
    """What will run; of steps that are a function of the context nobody can say it before."""
    try:
        return () if definition.is_composed() else definition.graph().steps
    except SagaError:
        return ()


def _json_url(request: HttpRequest) -> str:
    query = request.GET.copy()
    query["json"] = "yes"
    return f"?{query.urlencode()}"


def _page(
    model_admin: SagaAdmin, request: HttpRequest, template: str, title: str, context: dict[str, Any]
) -> HttpResponse:
    whole = {
        **model_admin.admin_site.each_context(request),
        **context,
        "title": title,
        "opts": model_admin.opts,
        "media": model_admin.media,
    }
    return TemplateResponse(request, f"admin/sagas/saga/{template}", whole)
