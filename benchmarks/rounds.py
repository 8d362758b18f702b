"""Plays the rounds: within each, one kind after the other, and for each kind the contenders side by side in
time.

The order of the contenders turns with every round, so that none always runs first. A cell that fails is
reported and leaves a gap; the others go on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.cells import Bench, Probe, Rate, StalledError
from benchmarks.contenders import Contender
from benchmarks.processes import ChildError
from benchmarks.quiet import busy_share
from benchmarks.report import Results

SMALLEST = 40


@dataclass(frozen=True)
class Plan:
    """What to measure. `sagas` is the engine's number; each peer has its share of it."""

    contenders: list[Contender]
    kinds: list[str]
    rounds: int
    sagas: int
    probes: int

    def size(self, contender: Contender, kind: str) -> int:
        if kind == "probe":
            return self.probes
        # A rollback is two steps longer.
        share = contender.share * (0.5 if kind == "rollback" and contender.name != "engine" else 1)
        return max(SMALLEST, round(self.sagas * share))


def play(bench: Bench, plan: Plan) -> Results:
    results = Results()
    for number, contender, kind in _turns(plan):
        results.busy.append(busy_share() or 0.0)
        measured = _measure(bench, contender, kind=kind, sagas=plan.size(contender, kind))
        _keep(results, contender.name, kind, measured)
        turn = f"round {number + 1}/{plan.rounds}  {contender.name:9} {kind:9}"
        _tell(f"{turn} {_said(measured)}  others {results.busy[-1]:.0%}")
    return results


def _turns(plan: Plan) -> Iterator[tuple[int, Contender, str]]:
    for number in range(plan.rounds):
        turned = plan.contenders[number % len(plan.contenders) :] + plan.contenders[: number % len(plan.contenders)]
        for kind in plan.kinds:
            for contender in turned:
                if kind != "rollback" or contender.undoes:
                    yield number, contender, kind


def _measure(bench: Bench, contender: Contender, *, kind: str, sagas: int) -> Rate | Probe | None:
    path = "rollback" if kind == "rollback" else "forward"
    try:
        with bench.cell(contender, path, starters=1 if kind == "probe" else 4) as cell:
            return cell.probe(sagas) if kind == "probe" else cell.rate(sagas, bulk=kind == "bulk")
    except (ChildError, StalledError, TimeoutError) as exc:
        _tell(f"{contender.name} {kind} failed: {exc}")
        return None


def _keep(results: Results, contender: str, kind: str, measured: Rate | Probe | None) -> None:
    if kind == "probe":
        results.probes[contender].append(measured if isinstance(measured, Probe) else None)
    else:
        results.rates[contender, kind].append(measured if isinstance(measured, Rate) else None)


def _said(measured: Rate | Probe | None) -> str:
    if measured is None:
        return "-"
    if isinstance(measured, Probe):
        return f"alone p50 {measured.end_p50_ms:.1f} ms, p99 {measured.end_p99_ms:.1f} ms"
    return f"{measured.sagas:,} sagas in {measured.seconds:.1f} s = {measured.sagas_per_s:,.0f}/s"


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
