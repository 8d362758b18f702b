"""Every page, light and dark, narrow and wide: nothing serious for axe-core, a quiet console, nothing out of reach."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from django.utils import timezone

from participants.demo import demo_orders, seed_stock
from participants.orders.models import Order
from sagas.engine import batch as batches
from sagas.engine.rollup import refresh
from sagas.models import FailureGroup, Saga, Worker
from tests.admin import pages, scenes
from tests.browser.tour import Tour
from tests.browser.window import Window

OTHERS = {
    "index": reverse("admin:index"),
    "overview": reverse("admin:app_list", args=["sagas"]),
    "definitions": reverse("admin:sagas_definition_changelist"),
    "definition": reverse("admin:sagas_definition_change", args=["order_processing"]),
    "workers": reverse("admin:sagas_worker_changelist"),
    "work": reverse("admin:sagas_workitem_changelist"),
    "failures": reverse("admin:sagas_failuregroup_changelist"),
    "batches": reverse("admin:sagas_batch_changelist"),
    "start": reverse("admin:sagas_saga_add"),
    "start_form": reverse("admin:sagas_saga_start", args=["admin_typed"]),
    "orders": reverse("admin:orders_order_changelist"),
    "storefront": "/",
}
LISTS = ["", "?state=failed", "?since=yesterday-ish", "?q=nobody"]  # all, some, a filter that is wrong, none

#: In a thread: what interrupts Playwright leaves it unable to go on, or to end. A process that ends is replaced.
pytestmark = pytest.mark.timeout(600, method="thread")


def count() -> None:
    """Bring the rollup up to date."""
    while refresh(force=True):
        pass


def test_pages__with_nothing_in_them(tour: Tour) -> None:
    count()

    for address in (*OTHERS.values(), pages.LIST):
        if address != OTHERS["definition"]:
            tour.visit(address)

    assert not tour.wrong, tour.report()


def test_pages__about_many(tour: Tour) -> None:
    for make in scenes.PLIGHTS.values():
        make()
    Saga.objects.filter(pk=scenes.started().pk).update(stale_since=timezone.now())
    Worker.objects.create(host="web-1", pid=1, slots=8, beat_at=timezone.now(), queues=["sagas.steps"])
    count()

    for address in (*OTHERS.values(), *(pages.LIST + query for query in LISTS)):
        tour.visit(address)

    assert not tour.wrong, tour.report()


def test_pages__about_many_sagas_at_once(tour: Tour, work: Callable[[], None]) -> None:
    seed_stock()
    for context in demo_orders()[:3]:
        Saga.objects.start("order_processing", context=context | {"card": "tok_0002"}, rollback=False)
    work()
    count()
    batch = batches.create("retry", {"state": "failed"}, reason="the bank is back", actor="ines", rate=50)
    work()

    tour.visit(reverse("admin:sagas_batch_start") + "?state=failed&verb=retry")
    tour.visit(reverse("admin:sagas_batch_change", args=[batch.pk]))
    for name in ("batches", "failures", "work"):
        tour.visit(OTHERS[name])
    for group in FailureGroup.objects.all():
        tour.visit(reverse("admin:sagas_failuregroup_change", args=[group.pk]))

    assert not tour.wrong, tour.report()
    assert tour.seen > 5


def test_pages__of_an_order(tour: Tour, work: Callable[[], None]) -> None:
    seed_stock()
    made = [Saga.objects.start("order_processing", context=context) for context in demo_orders()[:2]]
    work()

    for order in Order.objects.all():
        tour.visit(reverse("admin:orders_order_change", args=[order.pk]))
    for saga in made:
        tour.visit(pages.page(saga))

    assert not tour.wrong, tour.report()
    assert tour.seen == 4


def test_pages__for_nobody(window: Callable[..., Window]) -> None:
    tour = Tour(window())

    tour.visit("/")
    tour.visit("/admin/")

    assert not tour.wrong, tour.report()
