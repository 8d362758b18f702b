"""Which steps have a row on a saga's page: all that are written, and of a list's elements one page.

Payloads are read for the rows alone: a list may have a thousand elements, and each of them payloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from ..core.graph import Graph
from ..models import Saga, Step
from .drawing import by_need

#: Elements of lists that have a row.
ELEMENTS = 20
_PAYLOADS = ("input", "output", "undo_output")
#: More than any saga has steps.
_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Rows:
    """The steps of a page."""

    #: All of them, without payloads, in their order.
    steps: list[Step]
    #: Those with a row: what is written first, then elements.
    shown: list[Step]
    #: Elements, all in all; which of them have a row, from 1; and which page that is.
    elements: int
    first: int
    last: int
    before: int | None
    after: int | None

    def links(self) -> dict[int, str]:
        """Where each step's row is."""
        here = {step.position for step in self.shown}
        return {
            step.position: f"{'' if step.position in here else f'?step={step.position}'}#step-{step.position}"
            for step in self.steps
        }


def rows_of(request: HttpRequest, saga: Saga, graph: Graph | None) -> Rows:
    """What the page shows, by `?elements=` (a page) or `?step=` (the page with that step)."""
    steps = list(saga.steps.defer(*_PAYLOADS))
    written = [step for step in steps if not _is_element(graph, step)]
    elements = [step for step in steps if _is_element(graph, step)]
    page = _page(request, elements)
    found = elements if len(elements) <= ELEMENTS else by_need(elements)
    part = found[page * ELEMENTS : (page + 1) * ELEMENTS]
    shown = _with_payloads(saga, [*written, *part])
    first = page * ELEMENTS + 1
    last = page * ELEMENTS + len(part)
    return Rows(
        steps,
        shown,
        elements=len(elements),
        first=first,
        last=last,
        before=page if page else None,
        after=page + 2 if last < len(elements) else None,
    )


def _is_element(graph: Graph | None, step: Step) -> bool:
    return graph is not None and step.position < len(graph.steps) and graph.steps[step.position].element_of >= 0


def _page(request: HttpRequest, elements: Sequence[Step]) -> int:
    """From 0."""
    last = max(len(elements) - 1, 0) // ELEMENTS
    wanted = _number(request.GET, "step")
    if wanted is not None:
        order = [step.position for step in by_need(elements)]
        return order.index(wanted) // ELEMENTS if wanted in order else 0
    page = _number(request.GET, "elements")
    return min(max((page or 1) - 1, 0), last)


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None


def _with_payloads(saga: Saga, steps: Sequence[Step]) -> list[Step]:
    """The same rows as they are now, in the same order."""
    full = {step.pk: step for step in saga.steps.filter(pk__in=[step.pk for step in steps])}
    return [full[step.pk] for step in steps if step.pk in full]
