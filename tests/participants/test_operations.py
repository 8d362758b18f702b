"""What every service promises: once per key, undone once, and never done after it was undone."""

from uuid import uuid4

import pytest

from participants.inventory.models import Stock
from sagas import Rejected
from tests.participants.requests import Service, goods


def test_do__repeated__returns_the_same_and_has_one_effect(service: Service):
    first = service.run()

    again = service.run()

    assert again == first
    assert service.standing() == 1


def test_do__other_key__is_another_effect(service: Service):
    service.run("one:do")

    service.run("two:do")

    assert service.standing() == 2


def test_do__done_before__is_not_refused_whatever_the_request_says_now(service: Service):
    first = service.run()

    assert service.run(request={"card": 7, "nonsense": True}) == first


def test_undo__after_the_do__leaves_nothing_standing(service: Service):
    service.run()

    service.undo("k:do")

    assert service.standing() == 0


def test_undo__twice__is_the_same_as_once(service: Service):
    service.run()
    service.undo("k:do")

    service.undo("k:do")

    assert service.standing() == 0


def test_undo__of_one__leaves_the_other(service: Service):
    service.run("one:do")
    service.run("two:do")

    service.undo("one:do")

    assert service.standing() == 1


def test_undo__never_happened__is_accepted(service: Service):
    service.undo("k:do")

    assert service.standing() == 0


def test_do__after_its_undo__is_refused(service: Service):
    service.undo("k:do")

    with pytest.raises(Rejected) as refused:
        service.run()

    assert refused.value.code == "undone"
    assert service.standing() == 0


def test_do__done_and_undone__is_refused(service: Service):
    service.run()
    service.undo("k:do")

    with pytest.raises(Rejected) as refused:
        service.run()

    assert refused.value.code == "undone"


def test_do__rejected__leaves_no_line(service: Service):
    with pytest.raises(Rejected) as refused:
        service.run(request={})

    assert refused.value.code == "invalid_request"
    assert not service.operations.objects.exists()
    assert service.run()


@pytest.mark.usefixtures("shelves")
def test_reserve__one_line_too_much__sets_nothing_aside():
    from participants.inventory import services

    with pytest.raises(Rejected) as refused:
        services.reserve("k:do", goods(("MUG", 3), ("TEA", 11)), saga=uuid4())

    assert refused.value.code == "insufficient_stock"
    assert list(Stock.objects.order_by("sku").values_list("sku", "on_hand", "reserved")) == [
        ("MUG", 10, 0),
        ("TEA", 10, 0),
    ]
