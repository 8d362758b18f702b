"""Real threads with connections of their own: stock never goes below nothing, a key has one effect."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connections

from participants.inventory.models import Reservation, Stock
from participants.inventory.services import release, reserve, take_stock
from sagas import Rejected
from tests.participants.requests import SERVICES, goods

THREADS = 8

pytestmark = pytest.mark.usefixtures("either_database")


def side_by_side(work: list[Callable[[], object]]) -> list[str]:
    """Let all start at the same moment, each in a thread; tell how each ended."""
    ready = threading.Barrier(len(work))

    def run(job: Callable[[], object]) -> str:
        try:
            ready.wait(timeout=20)
            job()
        except Rejected as refused:
            return refused.code
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(run, work))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_do__same_key_side_by_side__has_one_effect(name: str):
    take_stock({"MUG": 1000, "TEA": 1000})
    service = SERVICES[name]
    outputs: list[object] = []

    ends = side_by_side([lambda: outputs.append(service.run())] * THREADS)

    assert ends == ["done"] * THREADS
    assert service.standing() == 1
    assert all(output == outputs[0] for output in outputs)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_do_beside_its_undo__never_stands(name: str):
    take_stock({"MUG": 1000, "TEA": 1000})
    service = SERVICES[name]

    for round_ in range(5):
        key = f"{round_}:do"
        ends = side_by_side([lambda key=key: service.run(key), lambda key=key: service.undo(key)])

        assert ends[0] in {"done", "undone"}
        assert ends[1] == "done"
    assert service.standing() == 0


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_undo__side_by_side__is_one_undo(name: str):
    take_stock({"MUG": 1000, "TEA": 1000})
    service = SERVICES[name]
    service.run()

    ends = side_by_side([lambda: service.undo("k:do")] * THREADS)

    assert ends == ["done"] * THREADS
    assert service.standing() == 0
    assert set(Stock.objects.values_list("on_hand", "reserved")) == {(1000, 0)}


def test_reserve__more_buyers_than_pieces__sells_each_piece_once():
    take_stock({"MUG": 5})

    ends = side_by_side([lambda n=n: reserve(f"{n}:do", goods(("MUG", 1)), saga=uuid4()) for n in range(THREADS)])

    assert Counter(ends) == {"done": 5, "insufficient_stock": THREADS - 5}
    assert Stock.objects.values_list("on_hand", "reserved").get() == (0, 5)
    assert Reservation.objects.count() == 5


def test_reserve_and_release__in_every_order_of_articles__end_and_add_up():
    take_stock({"A": 50, "B": 50, "a": 50, "B-2": 50})
    baskets = [("A", "B", "a", "B-2"), ("B-2", "a", "B", "A"), ("B", "B-2", "A", "a"), ("a", "A", "B-2", "B")]

    def come_and_go(basket: tuple[str, ...], name: int) -> None:
        for turn in range(5):
            key = f"{name}-{turn}:do"
            reserve(key, goods(*((sku, 1) for sku in basket)), saga=uuid4())
            release(key)

    ends = side_by_side([lambda basket=basket, n=n: come_and_go(basket, n) for n, basket in enumerate(baskets)])

    assert ends == ["done"] * len(baskets)
    assert set(Stock.objects.values_list("on_hand", "reserved")) == {(50, 0)}
