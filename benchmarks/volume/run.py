"""Fill, look whether what was filled in is right, measure, report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Sequence

from django.core.management import call_command
from django.urls import get_resolver

from benchmarks.volume import fill, report, sample
from benchmarks.volume.disk import gigabytes
from benchmarks.volume.measure import VISITED, Measured, measure
from benchmarks.volume.pages import EXCEPTIONS, PAGES

#: Sagas of each role that are audited.
AUDITED = 20
Say = Callable[[str], None]


def run(options: argparse.Namespace, url: str, say: Say) -> int:
    """The exit code: 0 when every page is fast enough, 1 when one is not, 2 when what was filled in is wrong."""
    if not options.use:
        _fill(options.sagas, url, say)
    seen = sample.read()
    wrong = fill.violations(key.hex for ids in seen.ids.values() for key in ids[:: -(-len(ids) // AUDITED)])
    if options.use:  # no worker has looked after it since it was kept
        wrong = [line for line in wrong if "nobody has looked at it" not in line]
    checked = "ok" if not wrong else "\n".join(wrong[:20])
    sys.stdout.write(f"saga_check: {checked}\n")
    if wrong:
        return 2
    found = []
    for one in measure([page for page in PAGES if options.only in page.name], seen, options.rounds):
        say("  ".join(report.row(one)))
        found.append(one)
    return _tell(options, found)


def _fill(sagas: int, url: str, say: Say) -> None:
    begun = time.monotonic()
    call_command("migrate", verbosity=0)
    filled = fill.fill(sagas, url, say)
    counts = f"{filled.sagas:,} sagas, {filled.steps:,} steps, {filled.history:,} history rows"
    each = filled.size / filled.sagas
    took = time.monotonic() - begun
    sys.stdout.write(f"filled in {took:.0f} s: {counts}; {gigabytes(filled.size)}, {each:,.0f} bytes a saga\n")


def _tell(options: argparse.Namespace, found: Sequence[Measured]) -> int:
    if options.markdown:
        options.markdown.write_text(report.markdown(found), encoding="utf-8")
    sys.stdout.write(report.table(found) + "\n")
    if options.slow:
        sys.stdout.write(report.statements(found, options.slow) + "\n")
    missed = [] if options.only else forgotten(VISITED)
    if missed:
        sys.stdout.write(f"not measured, and no exception either: {', '.join(missed)}\n")
    sys.stdout.write(report.verdict(found) + "\n")
    slow = any(not one.within for one in found) and not options.no_verdict
    return int(slow or bool(missed))


def addresses() -> set[str]:
    """Names of the addresses of the admin's pages of sagas."""
    _prefix, resolver = get_resolver().namespace_dict["admin"]
    return {name for name in resolver.reverse_dict if isinstance(name, str) and name.startswith("sagas_")}


def forgotten(visited: Collection[str]) -> list[str]:
    """Those of them that nobody has measured or excepted."""
    return sorted(name for name in addresses() if f"admin:{name}" not in visited and name not in EXCEPTIONS)
