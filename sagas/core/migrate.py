"""Moving a saga that goes forward to another graph, by a mapping of step names.

A step keeps its position, so that the history goes on telling of the same rows; new steps stand behind the others.

- What has begun stays what it was: its name (participants know its keys by it), its handlers and policies, and what it
  waited for. In the new graph nothing may come before it that has not passed.
- What has not begun becomes what the new graph says.
- A step that was never executed may be dropped: it is skipped, and its row stays as a witness.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NoReturn

from . import triggers as t
from .draft import Draft
from .errors import DefinitionError, TransitionNotAllowedError
from .graph import Graph, StepSpec
from .rows import StepRow
from .states import GATES, PASSED, Cause, StepStatus, Wait

#: Old step to new step; None = dropped.
Mapped = Mapping[str, str | None]

_DROPPED = "dropped by a migration"
APPLIED = ""


def check_mapping(old: Graph, mapping: Mapped) -> None:
    """Refuse a mapping that leaves a step out, or puts two in one place. Raises `DefinitionError`."""
    left = [spec.name for spec in old.steps if spec.name not in mapping and not _is_dropped(spec)]
    if left:
        raise DefinitionError(f"expected every old step in the mapping (null: dropped), {left[0]!r} is not in it")
    wanted = [to for name, to in mapping.items() if to is not None and name in old.names]
    twice = [to for to in wanted if wanted.count(to) > 1]
    if twice:
        raise DefinitionError(f"expected one old step for each new one, {twice[0]!r} is named twice")


def places(old: Graph, target: Graph, mapping: Mapped) -> dict[str, int]:
    """For each step of the target its position after the migration. Raises `DefinitionError`."""
    check_mapping(old, mapping)
    found: dict[str, int] = {}
    for position, spec in enumerate(old.steps):
        name = mapping.get(spec.name)
        if name is not None and name not in target.names:
            known = ", ".join(target.names)
            raise DefinitionError(f"the mapping names {name!r}, which is no step of the new graph (steps: {known})")
        if name is not None:
            found[name] = position
    new = (spec.name for spec in target.steps if spec.name not in found)
    return found | {name: len(old.steps) + number for number, name in enumerate(new)}


def migrate(draft: Draft, trigger: t.Migrate) -> str:
    """Put the saga on the new graph."""
    _refuse_busy(draft)
    try:
        move = _Move(draft, trigger)
        graph = Graph(move.specs(), trigger.target.policy)
    except DefinitionError as exc:
        _refuse(draft, exc.message)
    if graph.hash == draft.saga.graph.hash and not trigger.version:
        return "it is on that graph already"
    for position in move.dropped:
        if draft.steps[position].status is not StepStatus.SKIPPED:
            draft.move(position, Cause.SKIP, StepStatus.SKIPPED)
            dropped = draft.free(position)
            dropped.waits, dropped.approved_by = Wait.NONE, ""
    for position in move.replaced:
        draft.free(position)
        draft.rounds.add(position)
    fresh = [StepRow(position) for position in range(len(draft.steps), len(graph.steps))]
    draft.original = [*draft.original, *fresh]
    draft.steps += fresh
    draft.saga.graph = graph
    return APPLIED


def _refuse_busy(draft: Draft) -> None:
    if draft.saga.rewind_to is not None:
        _refuse(draft, "it is being rolled back in part")
    for spec, step in zip(draft.saga.graph.steps, draft.steps, strict=True):
        if step.claimed or step.stale_worker is not None:
            _refuse(draft, f"step {spec.name!r} is running: try again later")
        if spec.join or spec.element_of >= 0:
            _refuse(draft, f"step {spec.name!r} has been opened out into its elements")


def _refuse(draft: Draft, text: str) -> NoReturn:
    raise TransitionNotAllowedError(f"cannot migrate: {text}", saga_id=draft.saga.id, state=draft.saga.state)


class _Move:
    """One saga's way from its graph to the new one."""

    def __init__(self, draft: Draft, trigger: t.Migrate) -> None:
        self._draft = draft
        self._old, self._target = draft.saga.graph, trigger.target
        self._mapping = trigger.mapping
        self._places = places(self._old, self._target, trigger.mapping)
        self.dropped: list[int] = []
        self.replaced: list[int] = []

    def specs(self) -> list[StepSpec]:
        """The steps of the new graph."""
        found = [self._spec(position, spec) for position, spec in enumerate(self._old.steps)]
        return [*found, *self._added()]

    def _added(self) -> Iterator[StepSpec]:
        names = sorted(self._places, key=self._places.__getitem__)
        for name in names:
            if self._places[name] >= len(self._old.steps):
                yield self._translated(name)

    def _spec(self, position: int, spec: StepSpec) -> StepSpec:
        step, name = self._draft.steps[position], self._mapping.get(spec.name)
        if name is None:
            if not _is_dropped(spec):
                self._check_unexecuted(spec, step)
                self.dropped.append(position)
            return _witness(spec)
        if _begun(step):
            self._check_begun(spec, name)
            return spec
        self.replaced.append(position)
        return self._translated(name)

    def _translated(self, name: str) -> StepSpec:
        spec = self._target.steps[self._target.names[name]]
        needed = (self._places[self._target.steps[other].name] for other in spec.depends_on)
        return replace(spec, depends_on=tuple(sorted(needed)))

    def _check_unexecuted(self, spec: StepSpec, step: StepRow) -> None:
        gated = step.status is StepStatus.WAITING and step.waits in GATES
        if step.status is StepStatus.SKIPPED or gated or not _begun(step):
            return
        _refuse(self._draft, f"step {spec.name!r} has begun (it is {step.status}): it can not be dropped")

    def _check_begun(self, spec: StepSpec, name: str) -> None:
        if name != spec.name:
            _refuse(
                self._draft,
                f"step {spec.name!r} has begun: participants know it by that name, so it can not become {name!r}",
            )
        for before in self._target.ancestors[self._target.names[name]]:
            other = self._target.steps[before].name
            position = self._places[other]
            if position >= len(self._old.steps) or self._draft.steps[position].status not in PASSED:
                _refuse(self._draft, f"step {spec.name!r} has begun, and {other!r} would come before it")


def _begun(step: StepRow) -> bool:
    return step.status is not StepStatus.PENDING or bool(step.attempt) or step.doubt or step.opened


def _is_dropped(spec: StepSpec) -> bool:
    return spec.no_compensation == _DROPPED and not spec.action


def _witness(spec: StepSpec) -> StepSpec:
    """What is left of a dropped step: whoever opens it again finds that its condition does not hold."""
    return StepSpec(spec.name, "", no_compensation=_DROPPED, when="false", retry=spec.retry, undo_retry=spec.undo_retry)
