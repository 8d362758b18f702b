"""One cell of the benchmark: one contender, one path, one way of starting, on a fresh database and fresh
queues.

The clock runs from the first start until the last saga is durably finished. A warm-up before it makes sure
that both worker processes are up. Nothing is polled while sagas are being started; afterwards they are
counted seldom at first, every 20 ms near the end.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.contenders import Contender
from benchmarks.place import Place
from benchmarks.processes import Child, StarterChild, run
from benchmarks.services import Services, delete_queues, wait_for_queue

STARTERS = 4
CHUNK = 100
WARM_UP = 40
SETTLE = 1.5
#: Seconds between two counts: at the end, and at most.
COUNT_EVERY = 0.02
COUNT_SELDOM = 2.0
START_TIMEOUT = 120.0
#: A cell that makes no progress for so long is given up.
STALLED_AFTER = 60.0


class StalledError(Exception):
    """A contender stopped finishing sagas."""


@dataclass(frozen=True)
class Rate:
    """What one throughput cell showed."""

    sagas: int
    seconds: float
    #: Each start as its caller saw it, under load, in seconds; empty in bulk.
    starts: list[float] = field(default_factory=list)

    @property
    def sagas_per_s(self) -> float:
        return self.sagas / self.seconds


@dataclass(frozen=True)
class Probe:
    """Times of sagas started alone on an idle system, in seconds."""

    starts: list[float]
    ends: list[float]

    @property
    def start_p50_ms(self) -> float:
        return statistics.median(self.starts) * 1000

    @property
    def end_p50_ms(self) -> float:
        return statistics.median(self.ends) * 1000

    @property
    def end_p99_ms(self) -> float:
        return percentile(self.ends, 0.99) * 1000


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


class Cell:
    """A contender set up and warm: workers running, starters connected."""

    def __init__(self, contender: Contender, place: Place, *, path: str, workers: list[Child]) -> None:
        self.contender, self.place, self.path, self.workers = contender, place, path, workers
        self.starters: list[StarterChild] = []
        self.begun = 0
        #: Finished sagas that were in the tables before.
        self.already = contender.finished(place, path)

    def warm_up(self) -> None:
        """Twice, so that the process that came up second takes part before the clock runs."""
        for pause in (SETTLE, 0.0):
            self._start(WARM_UP)
            self._wait()
            time.sleep(pause)

    def rate(self, sagas: int, *, bulk: bool = False) -> Rate:
        begin = time.monotonic()
        starts = self._start(sagas, bulk=bulk)
        self._wait()
        return Rate(sagas=sagas, seconds=time.monotonic() - begin, starts=starts)

    def probe(self, sagas: int) -> Probe:
        self.starters[0].ask(do="probe", path=self.path, count=sagas)
        answer = self.starters[0].answer(timeout=START_TIMEOUT)
        self.begun += sagas
        return Probe(starts=answer["starts"], ends=answer["ends"])

    def _start(self, sagas: int, *, bulk: bool = False) -> list[float]:
        """Spread the starts over the starter processes; return when all have been made."""
        for index, starter in enumerate(self.starters):
            count = sagas // len(self.starters) + (index < sagas % len(self.starters))
            starter.ask(do="bulk" if bulk else "one by one", path=self.path, count=count, chunk=CHUNK)
        answers = [starter.answer(timeout=START_TIMEOUT + sagas / 20) for starter in self.starters]
        self.begun += sagas
        return [seconds for answer in answers for seconds in answer["starts"]]

    def _wait(self) -> None:
        """Return when every saga begun so far is finished."""
        best, since = self._finished(), time.monotonic()
        begin, first = since, best
        while best < self.begun:
            time.sleep(_pause(self.begun - best, done=best - first, seconds=time.monotonic() - begin))
            for worker in self.workers:
                worker.check()
            if (finished := self._finished()) > best:
                best, since = finished, time.monotonic()
            elif time.monotonic() - since > STALLED_AFTER:
                raise StalledError(f"{self.contender.name}: {best} of {self.begun} sagas, then nothing")

    def _finished(self) -> int:
        return self.contender.finished(self.place, self.path) - self.already


def _pause(left: int, *, done: int, seconds: float) -> float:
    """A tenth of the time that the rest will take: few counts while there is much to count, many near the end."""
    if not done:
        return COUNT_EVERY
    return min(COUNT_SELDOM, max(COUNT_EVERY, left / done * seconds / 10))


class Bench:
    """Opens cells; keeps one prepared database per contender to copy for each of them."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._templates: dict[str, str] = {}
        self._serial = 0

    @contextlib.contextmanager
    def cell(self, contender: Contender, path: str, *, template: str = "", starters: int = STARTERS) -> Iterator[Cell]:
        """Open a warm cell on a copy of `template`, or of the contender's empty database."""
        self._serial += 1
        prefix = f"bench{self._serial}"
        database = self.services.database(prefix, template=template or self._template(contender))
        place = self.services.place(database, prefix=prefix)
        try:
            with contextlib.ExitStack() as children:
                cell = self._open(contender, place, path=path, starters=starters, children=children)
                yield cell
        finally:
            if contender.queues:
                queues, exchanges = (contender.names(names, place) for names in (contender.queues, contender.exchanges))
                delete_queues(place.broker_url, queues=queues, exchanges=exchanges)
            self.services.drop(database)

    def _open(
        self, contender: Contender, place: Place, *, path: str, starters: int, children: contextlib.ExitStack
    ) -> Cell:
        log = self.services.directory / f"{place.prefix}-{contender.name}-{path}.log"
        environment = {**place.environment(), **contender.environment}
        workers = [
            children.enter_context(Child(command, environment=environment, log=log))
            for command in (contender.names(worker, place) for worker in contender.workers)
        ]
        for queue in contender.names(contender.queues, place)[:1]:
            wait_for_queue(place.broker_url, queue, timeout=START_TIMEOUT)
        cell = Cell(contender, place, path=path, workers=workers)
        alone = starters == 1 and contender.lone_starter
        for _ in range(starters):
            child = StarterChild(alone or contender.starter, environment=environment, log=log)
            cell.starters.append(children.enter_context(child))
        for starter in cell.starters:
            starter.answer(timeout=START_TIMEOUT)
        cell.warm_up()
        return cell

    def _template(self, contender: Contender) -> str:
        if contender.name not in self._templates:
            self._templates[contender.name] = self.empty(contender, f"{contender.name}_template")
        return self._templates[contender.name]

    def empty(self, contender: Contender, name: str) -> str:
        """Create a database with the contender's tables and nothing in them."""
        database = self.services.database(name)
        if contender.prepare:
            place = self.services.place(database, prefix=name)
            environment = {**place.environment(), **contender.environment}
            log = self.services.directory / f"{name}.log"
            run(contender.prepare, environment=environment, log=log)
        return database
