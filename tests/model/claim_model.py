"""An exhaustive model of the claim protocol, kept with the code. docs/claim-model.md says what it shows.

    python -m tests.model.claim_model                        every configuration (a quarter of an hour)
    python -m tests.model.claim_model amended decide_linear  those named

Two workers, one saga, participants idempotent by key; a bounded number of faults, in every place and order. Breadth
first, so that the way to each violation is a shortest one. `decide_…` explores the real `sagas.core.decide.decide`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sagas.core.graph import Graph, StepSpec
from sagas.core.retry import RetryPolicy

from .explore import Exploration, Explorer
from .real_engine import RealEngine
from .rules import AMENDED, AS_BUILT, LITERAL, Engine, ModelEngine, Rules
from .state import Budget
from .world import World

#: One fault of each sort.
ONE_OF_EACH = Budget()
_MUTANT_BUDGET = Budget(crash=1, hint=0, operator=1, timeout=1, ambiguous=0)
_TWO_ATTEMPTS = RetryPolicy(max_attempts=2, base=0, jitter=False)


@dataclass(frozen=True)
class Configuration:
    """Rules, participants and faults of one exploration."""

    about: str
    rules: Rules
    budget: Budget = ONE_OF_EACH
    engine: Callable[[Rules], Engine] = ModelEngine

    def explore(self, budget: Budget | None = None, *, stop_at_first: bool = False) -> Exploration:
        """Explore it, with other faults than its own if they are given."""
        engine = self.engine(self.rules)
        return Explorer(World(engine, self.rules), budget or self.budget, stop_at_first=stop_at_first).run()


def graph(*needs: tuple[int, ...]) -> Graph:
    """Steps that can all be undone, with two attempts each way; for each the steps that it waits for."""
    return Graph(
        [
            StepSpec(f"s{n}", f"do{n}", f"undo{n}", depends_on=waits, retry=_TWO_ATTEMPTS, undo_retry=_TWO_ATTEMPTS)
            for n, waits in enumerate(needs)
        ]
    )


def _decide(about: str, *needs: tuple[int, ...], rollback: bool = True) -> Configuration:
    return Configuration(about, AS_BUILT, engine=lambda rules: RealEngine(graph(*needs), rollback=rollback))


def _without(rule: str) -> Configuration:
    weaker = replace(AMENDED, **{rule: "" if rule == "audit" else False})  # type: ignore[arg-type]
    return Configuration(f"all amendments but {rule}", weaker)


_NO_FENCE = replace(AMENDED, fence=False)
_NO_FENCE_EARLY = replace(_NO_FENCE, midway=False)
_FREEZE_ONLY = Budget(hint=0, timeout=0, ambiguous=0)
RULES = ("sticky", "zdrain", "guard", "resubmit", "audit")
MUTANTS = ("no_fencing", "undo_in_forward_order", "no_drain", "takeover_reruns_in_rollback", "timeout_is_no")
CONFIGURATIONS = {
    "literal_loose": Configuration(
        "as first written, participant validates before it dedupes, no timeout",
        replace(LITERAL, loose=True),
        Budget(timeout=0),
    ),
    "amended_loose": Configuration(
        "all amendments, participant validates before it dedupes", replace(AMENDED, loose=True)
    ),
    "literal": Configuration("as first written; participants dedupe and refuse a late do", LITERAL),
    "notimeout": Configuration("as first written, a step without timeout", replace(LITERAL, deadline=False)),
    "amended": Configuration("all amendments", AMENDED),
    "engine": Configuration("as built: claims stand, unrun ones go back, debts can be retried", AS_BUILT),
    "decide_one": _decide("the real decide, one step", ()),
    "decide_linear": _decide("the real decide, two steps in a line", (), (0,)),
    "decide_parallel": replace(
        _decide("the real decide, two steps side by side", (), ()), budget=Budget(hint=0, ambiguous=0)
    ),
    "decide_no_rollback": _decide("the real decide, two steps, failures not undone", (), (0,), rollback=False),
    "nofence": Configuration("all amendments, participant without fence", _NO_FENCE),
    "nofence_nofreeze": Configuration(
        "all amendments, participant without fence, no crash or freeze", _NO_FENCE, Budget(crash=0)
    ),
    "nofence_guard": Configuration("all amendments, participant without fence, no timeout", _NO_FENCE, _FREEZE_ONLY),
    "nofence_noguard": Configuration("the same without guard", replace(_NO_FENCE, guard=False), _FREEZE_ONLY),
    "early_guard": Configuration(
        "all amendments, participant without fence, no freeze while a handler runs", _NO_FENCE_EARLY, _FREEZE_ONLY
    ),
    "early_noguard": Configuration("the same without guard", replace(_NO_FENCE_EARLY, guard=False), _FREEZE_ONLY),
    "suspect_nofence": Configuration(
        "all amendments, a live worker taken for dead, participant without fence",
        _NO_FENCE,
        Budget(crash=0, hint=0, timeout=0, ambiguous=0, suspicion=1),
    ),
    "suspect": Configuration("all amendments, a live worker taken for dead", AMENDED, Budget(crash=0, suspicion=1)),
    **{f"less_{rule}": _without(rule) for rule in RULES},
    **{
        f"mutant_{name}": Configuration(f"mutant: {name}", replace(AMENDED, mutant=name), _MUTANT_BUDGET)
        for name in MUTANTS
    },
}


def report(name: str, configuration: Configuration) -> str:
    """Explore one and say what was found."""
    began = time.monotonic()
    found = configuration.explore()
    seconds = time.monotonic() - began
    sorts = f"{len(found.violations)} sorts of violation" if found.violations else "no violation"
    size = f"{found.states:,} states, {found.edges:,} edges, {seconds:.0f} s"
    lines = [f"== {name} ({configuration.about}): {size}: {sorts}"]
    for what, violation in sorted(found.violations.items()):
        lines += [f"   {what}  [{violation.states} states]", f"       {' > '.join(violation.trace)}"]
    return "\n".join(lines)


def main(names: list[str]) -> int:
    """Explore those named, or all."""
    unknown = [name for name in names if name not in CONFIGURATIONS]
    if unknown:
        sys.stderr.write(f"expected names out of {', '.join(CONFIGURATIONS)}; got {', '.join(unknown)}\n")
        return 2
    for name in names or CONFIGURATIONS:
        sys.stdout.write(report(name, CONFIGURATIONS[name]) + "\n\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
