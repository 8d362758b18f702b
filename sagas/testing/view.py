"""What came of one saga of a run, and the verbs on it: of the saga that was started, and of each child saga."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from ..core.children import child_id
from ..core.graph import Graph
from ..core.history import Entry
from ..core.plan import CompensationPlan, compensation_plan
from ..core.states import StepStatus
from ..core.workflow import WorkflowStatus, workflow_status
from ..store.base import Loaded
from .rig import Rig
from .steering import Steering
from .story import story


class SagaView(Steering):
    """One saga of a run."""

    rig: Rig
    id: UUID

    # -- what came of it ----------------------------------------------------------------------------------------

    @property
    def _rows(self) -> Loaded:
        return self.rig.store.sagas[self.id]

    @property
    def name(self) -> str:
        """The definition's name."""
        return self._rows.name

    @property
    def graph(self) -> Graph:
        """The saga's steps; a fan-out adds some."""
        return self._rows.saga.graph

    @property
    def state(self) -> str:
        """The saga's state."""
        return str(self._rows.saga.state)

    @property
    def attention(self) -> str:
        """Why a person must look; empty when nobody must."""
        return self._rows.saga.attention

    @property
    def workflow_status(self) -> WorkflowStatus:
        """The state in the workflow tutorial's words."""
        found = self._rows.saga
        return workflow_status(found.state, paused=found.paused_at is not None, attention=found.attention)

    @property
    def error_code(self) -> str:
        """Why it was rolled back, or failed; empty when all went well."""
        return self._rows.saga.error_code

    @property
    def revision(self) -> int:
        """+1 per transition."""
        return self._rows.saga.revision

    @property
    def context(self) -> dict[str, Any]:
        """The saga's context."""
        found: dict[str, Any] = json.loads(self.rig.store.payloads[self.id].context)
        return found

    @property
    def outputs(self) -> dict[str, Any]:
        """Outputs by step name."""
        return self._by_name(self.rig.store.payloads[self.id].outputs)

    @property
    def undo_outputs(self) -> dict[str, Any]:
        """What compensations returned, by step name."""
        return self._by_name(self.rig.store.payloads[self.id].undo_outputs)

    def _by_name(self, texts: Mapping[int, str | None]) -> dict[str, Any]:
        return {
            spec.name: json.loads(text) for p, spec in enumerate(self.graph.steps) if (text := texts.get(p)) is not None
        }

    @property
    def statuses(self) -> dict[str, str]:
        """Statuses by step name."""
        return {self.graph.steps[step.position].name: str(step.status) for step in self._rows.steps}

    @property
    def progress(self) -> dict[str, float]:
        """What handlers said last with `ctx.heartbeat(progress=…)`, by step name."""
        found = self.rig.progress.items()
        return {self.graph.steps[place].name: value for (saga_id, place), value in found if saga_id == self.id}

    @property
    def undone(self) -> list[str]:
        """Steps that were compensated, in the order in which that ended."""
        seqs: dict[int, int] = {}
        for entry in self.history:
            for position, diff in (entry.data or {}).get("steps", {}).items():
                if diff.get("status") == StepStatus.COMPENSATED:
                    seqs[int(position)] = entry.seq or 0
        found = [step.position for step in self._rows.steps if step.compensated_at is not None]
        return [self.graph.steps[position].name for position in sorted(found, key=lambda place: seqs.get(place, 0))]

    @property
    def history(self) -> list[Entry]:
        """What happened."""
        return self.rig.store.history[self.id]

    @property
    def story(self) -> str:
        """The history as text, one line per entry, and behind it those of the children: `self.fail(run.story)`."""
        parts = [story(self.graph, self.history, self.rig.begin)]
        for child in self.children.values():
            parts.append(
                f"{self.rig.path(child.id)[:-1]}, the child saga {child.name}, is {child.state}:\n{child.story}"
            )
        return "\n\n".join(parts)

    def plan(self) -> CompensationPlan:
        """What a rollback would undo now."""
        found = self._rows
        return compensation_plan(found.saga, found.steps)

    # -- its children -------------------------------------------------------------------------------------------

    @property
    def children(self) -> dict[str, ChildRun]:
        """The child sagas by the names of the steps that have started them; of several rounds the latest."""
        found = {}
        for position in self.graph.nested:
            name = self.graph.steps[position].name
            for number in range(self._rows.steps[position].round, 0, -1):
                key = child_id(self.id, name, number)
                if key in self.rig.store.sagas:
                    found[name] = ChildRun(self._run, key)
                    break
        return found

    def family(self) -> Iterator[SagaView]:
        """The saga, its children, theirs …"""
        yield self
        for child in self.children.values():
            yield from child.family()

    @property
    def _run(self) -> Runner:
        raise NotImplementedError


class Runner(SagaView):
    """The saga that was started, which runs the whole family."""

    #: Steps whose action, and whose compensation, was called, in order, once per attempt; a child saga's step by its
    #: path, "ship/print_label".
    called: list[str]
    undo_called: list[str]

    @property
    def _run(self) -> Runner:
        return self

    def next_step(self) -> str | None:
        """Run one attempt of one step."""
        raise NotImplementedError

    def finish(self) -> Runner:
        """Run until nothing is left to run."""
        raise NotImplementedError

    def drain(self) -> Runner:
        """Run what can run now."""
        raise NotImplementedError


class ChildRun(SagaView):
    """A child saga of a run: `run.children["ship"]`. What it shows is always as of now; to go on is to go on with the
    whole family."""

    def __init__(self, run: Runner, saga_id: UUID) -> None:
        self.rig, self.id = run.rig, saga_id
        self._above = run

    @property
    def _run(self) -> Runner:
        return self._above

    @property
    def called(self) -> list[str]:
        """Its steps whose action was called; those of its own children by their paths."""
        return self._own(self._above.called)

    @property
    def undo_called(self) -> list[str]:
        """… whose compensation was called."""
        return self._own(self._above.undo_called)

    def _own(self, names: list[str]) -> list[str]:
        path = self.rig.path(self.id)
        return [name.removeprefix(path) for name in names if name.startswith(path)]

    def drain(self) -> ChildRun:
        """As `SagaRun.drain`: the family runs, the clock stands still."""
        self._above.drain()
        return self

    def finish(self) -> ChildRun:
        """As `SagaRun.finish`: the family runs, waits take no time."""
        self._above.finish()
        return self
