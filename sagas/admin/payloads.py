"""Payloads as they are shown: folded JSON without what is sensitive, cut where a page would drown in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..core.redaction import redact
from ..definitions.sensitive import rules_of, shown
from ..models import Saga, Step
from . import cells

#: The parts of a step, and what they are called.
PARTS = {"input": _("Input"), "output": _("Output"), "undo_output": _("Output of the compensation")}


@dataclass(frozen=True, slots=True)
class PayloadView:
    """One payload."""

    name: str
    text: str
    #: Something in it is hidden.
    hides: bool = False
    #: Where all of it is, when it was cut.
    url: str = ""
    size: int = 0


def context_view(saga: Saga) -> PayloadView:
    """A saga's context."""
    return _view(saga, gettext("Context"), saga.context, shown(saga.context, saga.name), "part=context")


def step_payloads(saga: Saga, step: Step) -> list[PayloadView]:
    """What there is of a step."""
    rules, found = rules_of(saga.name, step.action), []
    for part, name in PARTS.items():
        value = getattr(step, part)
        if value:
            query = f"part={part}&step={step.position}"
            found.append(_view(saga, str(name), value, redact(value, rules), query))
    return found


def _view(saga: Saga, name: str, value: Any, safe: Any, query: str) -> PayloadView:
    text = cells.whole(safe)
    hides = safe != value
    if len(text) <= cells.MAX_JSON:
        return PayloadView(name, text, hides)
    url = f"{reverse('admin:sagas_saga_payload', args=[saga.ulid])}?{query}"
    return PayloadView(name, cells.cut(text), hides, url, len(text))


def whole_payload(request: HttpRequest, saga: Saga) -> HttpResponse:
    """All of one payload as plain text; what is hidden stays hidden. Raises `Http404`."""
    part, step = request.GET.get("part", ""), None
    place = request.GET.get("step", "")
    if part == "context":
        value = shown(saga.context, saga.name)
    elif part in PARTS and place.isascii() and place.isdecimal() and len(place) < 6:
        step = saga.steps.filter(position=int(place)).first()
        if step is None:
            raise Http404
        value = shown(getattr(step, part), saga.name, step.action)
    else:
        raise Http404
    response = HttpResponse(cells.whole(value), content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response


def open_payloads(saga: Saga) -> Iterator[tuple[str, list[PayloadView]]]:
    """Whatever hides something, as it is: for a person who may see it, once it is recorded that they do."""
    if shown(saga.context, saga.name) != saga.context:
        yield gettext("The saga"), [PayloadView(gettext("Context"), cells.whole(saga.context))]
    for step in saga.steps.all():
        rules = rules_of(saga.name, step.action)
        found = [(str(name), getattr(step, part)) for part, name in PARTS.items()]
        open_ones = [PayloadView(name, cells.whole(value)) for name, value in found if redact(value, rules) != value]
        if open_ones:
            yield f"{step.position + 1}. {step.name}", open_ones
