"""Times `sagas.testing.run_saga` on the memory store: `python -m benchmarks.inmemory SAGAS ROUNDS`."""

from __future__ import annotations

import json
import statistics
import sys
import time

import django


def main(sagas: int, rounds: int) -> None:
    django.setup()
    from benchmarks.app.sagas import Bench
    from sagas.testing import run_saga

    rates = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for number in range(sagas):
            run_saga(Bench, {"order": number})
        rates.append(sagas / (time.perf_counter() - begin))
    sys.stdout.write(json.dumps({"inmemory": {"sagas_per_s": round(statistics.median(rates))}}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
