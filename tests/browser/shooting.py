"""Fills a database with an ordinary day, and takes the pictures of `screenshots`."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, sync_playwright

from participants.demo import demo_orders, seed_stock
from sagaproject.accounts import NAME, demo_operator
from sagas.engine import batch as batches
from sagas.engine.rollup import note_monitor, refresh
from sagas.models import FailureGroup, Saga, Worker
from sagas.worker.process import Worker as Process
from tests.admin import pages, scenes
from tests.browser.window import Window
from tests.services import chromium

#: Pages that there are on the first day, too.
EMPTY = {
    "overview": reverse("admin:app_list", args=["sagas"]),
    "list": pages.LIST,
    "work": reverse("admin:sagas_workitem_changelist"),
    "failures": reverse("admin:sagas_failuregroup_changelist"),
    "batches": reverse("admin:sagas_batch_changelist"),
    "definitions": reverse("admin:sagas_definition_changelist"),
    "workers": reverse("admin:sagas_worker_changelist"),
    "storefront": "/",
}
#: Shown by the documentation, and on a narrow screen, too.
KEPT = ("full-overview", "full-list", "full-saga-debt", "full-failures", "full-confirmation", "full-batch")
NARROW = ("overview", "list", "saga-debt", "confirmation")


def shoot(target: Path, *, orders: int) -> int:
    """All pictures, empty and full; how many."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    demo_operator()
    with _server() as home, _browser() as browser:
        camera = Camera(browser, home, target)
        camera.take_all("empty", EMPTY)
        addresses = EMPTY | fill(orders)
        camera.take_all("full", addresses)
        camera.take_confirmation()
    return camera.taken


def keep(source: Path, target: Path) -> None:
    """The documentation's few: wide, light, and the overview and the saga in the dark and narrow too."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    names = [f"{name}-light-1440" for name in KEPT] + ["full-overview-dark-1440", "full-saga-debt-dark-360"]
    for name in names:
        shutil.copy(source / f"{name}.png", target / f"{name.removeprefix('full-')}.png")


class Camera:
    """Opens pages and takes their pictures."""

    def __init__(self, browser: Browser, home: str, target: Path) -> None:
        self._browser, self._home, self._target = browser, home, target
        self.taken = 0

    def take_all(self, when: str, addresses: dict[str, str]) -> None:
        """Each page, light and dark, wide, and the main ones narrow."""
        for window, look in self._windows():
            for name, address in addresses.items():
                if look.endswith("1440") or name in NARROW:
                    window.page.goto(address)
                    self._take(window, f"{when}-{name}-{look}")
            window.close()

    def take_confirmation(self) -> None:
        """What is asked before a saga is rolled back."""
        saga = scenes.failed()
        for window, look in self._windows():
            window.open_saga(saga)
            window.press("Compensate …")
            window.page.locator(".saga-plan").wait_for()
            self._take(window, f"full-confirmation-{look}")
            window.close()

    def _windows(self) -> Iterator[tuple[Window, str]]:
        for width in (1440, 360):
            for dark in (False, True):
                window = Window.open(self._browser, self._home, width=width, dark=dark)
                window.enter(User.objects.get(username=NAME))
                yield window, f"{'dark' if dark else 'light'}-{width}"

    def _take(self, window: Window, name: str) -> None:
        window.page.screenshot(path=self._target / f"{name}.png", animations="disabled")
        self.taken += 1


def fill(orders: int) -> dict[str, str]:
    """An ordinary day: orders, some of which fail, and what needs a person. Addresses of pages that it makes."""
    seed_stock()
    for number, context in enumerate(demo_orders()[:orders]):
        Saga.objects.start(
            "order_processing",
            context=context,
            idempotency_key=context["number"],
            owner=("web", "phone", "shop")[number % 3],
            rollback=number % 9 != 0,
        )
    _work()
    batch = batches.create("retry", {"state": "failed"}, reason="the bank is back", actor=NAME, rate=100)
    _work()
    # Behind the last worker, which would bring them on.
    made = {name: make() for name, make in scenes.PLIGHTS.items()}
    children = scenes.family()[0]
    elements = scenes.opened_out(60, doubtful=3, done=25)
    Worker.objects.all().delete()
    for number in range(3):
        Worker.objects.create(
            host=f"worker-{number + 1}", pid=410 + number, slots=16, free_slots=9 + number, beat_at=timezone.now()
        )
    note_monitor()
    count()
    sagas = {f"saga-{name}": pages.page(made[name]) for name in ("debt", "awaiting_approval", "waiting", "completed")}
    found = {
        "batch": reverse("admin:sagas_batch_change", args=[batch.pk]),
        "batch-start": reverse("admin:sagas_batch_start") + "?state=failed&verb=retry",
        "definition": reverse("admin:sagas_definition_change", args=["order_processing"]),
        "saga-family": pages.page(children),
        "saga-elements": pages.page(elements),
        "saga-order": pages.page(Saga.objects.filter(name="order_processing", state="compensated").latest("pk")),
        "list-failed": f"{pages.LIST}?state=failed",
        "start": reverse("admin:sagas_saga_start", args=["admin_typed"]),
    }
    group = FailureGroup.objects.first()
    if group is not None:
        found["failure"] = reverse("admin:sagas_failuregroup_change", args=[group.pk])
    return sagas | found


def _work() -> None:
    worker = Process(threads=4, consume=False, burst=True)
    worker.start()
    worker.join()


def count() -> None:
    """Bring the rollup up to date."""
    while refresh(force=True):
        pass


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


@contextmanager
def _server() -> Iterator[str]:
    """The project on a free port, in a thread of this process; whitenoise serves its files."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.program(), args=chromium.flags())
        yield browser
        browser.close()
