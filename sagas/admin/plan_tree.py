"""What a rollback undoes, its child sagas included: the plan as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..core.children import MAX_DEPTH, child_id
from ..core.plan import CompensationPlan, NotUndone, PlannedUndo, compensation_plan
from ..core.readiness import past_return
from ..core.states import SagaState
from ..definitions.ids import id_text

if TYPE_CHECKING:
    from ..core.rows import SagaRow, StepRow

    Rows = tuple[SagaRow, list[StepRow]]
    Load = Callable[[Iterable[UUID]], Mapping[UUID, Rows]]


@dataclass(frozen=True, slots=True)
class ChildView:
    """The child saga of a step that is undone."""

    link: SafeString
    state: str
    #: Why nothing of it is undone; empty where there is a plan.
    note: str = ""
    plan: PlanView | None = None


@dataclass(frozen=True, slots=True)
class UndoView:
    """One step that is undone."""

    planned: PlannedUndo
    child: ChildView | None = None

    @property
    def rank(self) -> int:
        """Steps of the same rank may be undone side by side."""
        return self.planned.rank


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan, with those of the child sagas in it."""

    undo: list[UndoView] = field(default_factory=list)
    keep: Sequence[NotUndone] = ()


def children_of(row: SagaRow, steps: Sequence[StepRow]) -> dict[str, UUID]:
    """The ids of the child sagas that its steps have, or would have."""
    names = {position: row.graph.steps[position].name for position in row.graph.nested}
    return {name: child_id(row.id, name, steps[position].round) for position, name in names.items()}


def plan_tree(plan: CompensationPlan, children: Mapping[str, UUID], load: Load, depth: int = MAX_DEPTH) -> PlanView:
    """The plan of a saga and, below the steps that have one, of their child sagas: one look into the store a level."""
    wanted = {undo.step: children[undo.step] for undo in plan.undo if undo.step in children}
    known = load(wanted.values()) if wanted and depth else {}
    views = [
        UndoView(undo, _child(known[wanted[undo.step]], load, depth))
        if wanted.get(undo.step) in known
        else UndoView(undo)
        for undo in plan.undo
    ]
    return PlanView(views, plan.keep)


def _child(rows: Rows, load: Load, depth: int) -> ChildView:
    row, steps = rows
    link = format_html(
        '<a href="{}"><code>{}</code></a>', reverse("admin:sagas_saga_change", args=[id_text(row.id)]), id_text(row.id)
    )
    behind = past_return(row.graph, steps)
    if row.state is SagaState.COMPENSATED:
        return ChildView(link, row.state, gettext("it is undone already"))
    if behind is not None:
        text = gettext("it is behind its point of no return, %(step)s, and can not be undone: this step becomes a debt")
        return ChildView(link, row.state, text % {"step": row.graph.steps[behind].name})
    plan = plan_tree(compensation_plan(row, steps), children_of(row, steps), load, depth - 1)
    return ChildView(link, row.state, plan=plan)
