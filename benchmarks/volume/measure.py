"""Asks for a page many times, as a superuser's browser would, and keeps how long that took and what it asked for."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from benchmarks.volume.fill import keep_beating
from benchmarks.volume.pages import Page, Request
from benchmarks.volume.sample import Sample


@dataclass(slots=True)
class Watch:
    """One request: milliseconds in all and at work in this process, and its statements."""

    took: float = 0.0
    worked: float = 0.0
    count: int = 0
    #: Milliseconds in the database.
    spent: float = 0.0
    slowest: float = 0.0
    statement: str = ""

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = (time.perf_counter() - begun) * 1000
            self.count += 1
            self.spent += took
            if took > self.slowest:
                self.slowest, self.statement = took, f"{sql} -- {params}"


@dataclass(slots=True)
class Measured:
    """A page, and its requests: milliseconds, of these in the database and at work in this process, statements."""

    page: Page
    times: list[float] = field(default_factory=list)
    #: Milliseconds of the slowest request before those that count: what it needs is on the disk, and in no memory yet.
    first: float = 0.0
    spent: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    slowest: float = 0.0
    statement: str = ""
    url: str = ""

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return percentile(self.times, 0.95)

    @property
    def within(self) -> bool:
        """Whether it is as fast as it has to be."""
        return self.p95 < self.page.limit


class UnexpectedAnswerError(Exception):
    """A page did not answer as it should."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest that so many are not above."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def superuser() -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="operator"))
    return client


def measure(pages: Sequence[Page], sample: Sample, rounds: int) -> Iterator[Measured]:
    """One after the other; each `rounds` times, behind a warm-up. Raises `UnexpectedAnswerError`."""
    client = superuser()
    for page in pages:
        keep_beating()
        found = Measured(page)
        _warm_up(client, page, sample, rounds, found)
        for number in range(rounds):
            request = page.ask(sample, number)
            watch = Watch()
            _time(client, page, request, watch)
            _note(found, request, watch)
        yield found


def _warm_up(client: Client, page: Page, sample: Sample, rounds: int, found: Measured) -> None:
    """What is looked at every day is in the machine's memory: each address is asked for once before it counts. Of acts,
    which can not be done twice, only one: templates are compiled then."""
    for number in range(rounds) if rounds > 1 else ():
        request = page.ask(sample, number)
        if request.form is None or number == rounds - 1:
            watch = Watch()
            _time(client, page, request, watch)
            found.first = max(found.first, watch.took)


def _time(client: Client, page: Page, request: Request, watch: Watch) -> None:
    with connection.execute_wrapper(watch):
        begun, worked = time.perf_counter(), time.process_time()
        response = client.get(request.url) if request.form is None else client.post(request.url, request.form)
        watch.took = (time.perf_counter() - begun) * 1000
        watch.worked = (time.process_time() - worked) * 1000
    if response.status_code != request.status:
        text = f"{page.name}: expected {request.status} from {request.url}, got {response.status_code}"
        raise UnexpectedAnswerError(text)
    VISITED.add(response.resolver_match.view_name)


#: Names of the addresses that were asked for.
VISITED: set[str] = set()


def _note(found: Measured, request: Request, watch: Watch) -> None:
    found.times.append(watch.took)
    found.spent.append(watch.spent)
    found.worked.append(watch.worked)
    found.counts.append(watch.count)
    if watch.slowest > found.slowest:
        found.slowest, found.statement, found.url = watch.slowest, watch.statement, request.url
