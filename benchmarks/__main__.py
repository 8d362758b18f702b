"""`python -m benchmarks`: the engine beside its peers, and the engine's own experiments.

    python -m benchmarks                      all, three interleaved rounds, about 20 minutes on 2 cores
    python -m benchmarks --smoke              a few hundred sagas, one round: does it all still run?
    python -m benchmarks --only engine,celery
    python -m benchmarks --aged               with 100,000 finished sagas in the tables, and with none
    python -m benchmarks --memory             resident memory of the workers over 50,000 sagas
    python -m benchmarks --inmemory           `sagas.testing.run_saga`

Parses, calls and reports; measures nothing itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import experiments
from benchmarks.cells import Bench
from benchmarks.contenders import CONTENDERS, install_peers
from benchmarks.quiet import warning
from benchmarks.report import summary, table
from benchmarks.rounds import Plan, play
from benchmarks.services import Services

ENGINE_SAGAS = 24_000
SMOKE_SAGAS = 240
LOCAL_DATABASE = "postgresql://postgres@127.0.0.1:5432/postgres"
LOCAL_BROKER = "amqp://guest:guest@127.0.0.1:5672/"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The engine beside its peers.")
    parser.add_argument("--sagas", type=int, default=ENGINE_SAGAS, help="sagas of the engine in each cell")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--probes", type=int, default=200, help="sagas started alone")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, separated by commas")
    parser.add_argument("--kinds", default="forward,rollback,bulk,probe", help="what to measure, separated by commas")
    parser.add_argument("--smoke", action="store_true", help="one small round")
    parser.add_argument("--keep-logs", action="store_true", help="keep what the children wrote")
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL") or LOCAL_DATABASE)
    parser.add_argument("--broker-url", default=os.environ.get("BROKER_URL") or LOCAL_BROKER)
    for name in experiments.EXPERIMENTS:
        parser.add_argument(f"--{name}", dest="experiment", action="store_const", const=name)
    options = parser.parse_args(arguments)
    if options.smoke:
        options.sagas, options.rounds, options.probes = SMOKE_SAGAS, 1, 10
    unknown = set(options.only.split(",")) - set(CONTENDERS)
    if unknown:
        parser.error(f"unknown contenders {', '.join(sorted(unknown))}: choose from {', '.join(CONTENDERS)}")
    return options


def main() -> None:
    options = parse()
    directory = Path(tempfile.mkdtemp(prefix="sagas-bench-"))
    services = Services(database_url=options.database_url, broker_url=options.broker_url, directory=directory)
    try:
        with services.opened():
            if options.experiment:
                experiments.EXPERIMENTS[options.experiment](Bench(services), options)
            else:
                compare(Bench(services), options)
    finally:
        if options.keep_logs:
            sys.stderr.write(f"logs are in {directory}\n")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def compare(bench: Bench, options: argparse.Namespace) -> None:
    names = options.only.split(",")
    if set(names) - {"engine"}:
        install_peers()
    plan = Plan(
        contenders=[CONTENDERS[name] for name in names],
        kinds=options.kinds.split(","),
        rounds=options.rounds,
        sagas=options.sagas,
        probes=options.probes,
    )
    results = play(bench, plan)
    sys.stderr.write(warning(results.busy))
    sys.stdout.write(table(results, names) + "\n" + summary(results) + "\n")


if __name__ == "__main__":
    main()
