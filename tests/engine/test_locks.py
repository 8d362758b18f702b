"""`SagaDefinition.lock`: how the key is made, and who gets it."""

from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from sagas import SagaDefinition
from sagas.core.states import Lock
from sagas.exceptions import DefinitionError, LockHeldError, PayloadError
from sagas.models import Saga

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


def keyed(kit: Kit, lock: Any = "order:{order_id}", **attributes: Any) -> type[SagaDefinition]:
    return kit.define(kit.step("only"), lock=lock, **attributes)


@pytest.mark.parametrize(
    ("lock", "context", "key"),
    [
        ("order:{order_id}", {"order_id": 7}, "order:7"),
        ("{shop}/{order_id}", {"shop": "nord", "order_id": "A 1"}, "nord/A 1"),
        ("the only one {{}}", {}, "the only one {}"),
        (lambda context: f"order:{context['order_id'] % 10}", {"order_id": 17}, "order:7"),
        (lambda context: None, {}, ""),
        (None, {}, ""),
    ],
)
def test_key__is_made_of_the_context(kit: Kit, lock: Any, context: dict[str, Any], key: str) -> None:
    saga = Saga.objects.start(keyed(kit, lock), context=context)

    assert (saga.lock_key, saga.lock_state) == (key, Lock.HELD if key else Lock.NONE)
    stored = Saga.objects.get(pk=saga.pk)
    assert (stored.lock_key, stored.lock_state) == (saga.lock_key, saga.lock_state)


@pytest.mark.parametrize("lock", ["{a.b}", "{a[0]}", "{}", "{0}", "{a!r}", "{a:>9}", "{a", "", 7])
def test_key__only_names_of_the_context__refused_when_declared(kit: Kit, lock: Any) -> None:
    with pytest.raises(DefinitionError, match="lock"):
        keyed(kit, lock)


def test_policy__unknown__refused_when_declared(kit: Kit) -> None:
    with pytest.raises(DefinitionError, match="lock_policy"):
        keyed(kit, lock_policy="queue")


@pytest.mark.parametrize("context", [{}, {"order_id": None}, {"order_id": [1]}, {"order_id": True}, {"order_id": ""}])
def test_key__context_without_a_usable_value__is_told(kit: Kit, context: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match=r"text or a whole number in the context's 'order_id'"):
        Saga.objects.start(keyed(kit), context=context)


@pytest.mark.parametrize("made", ["", 7, "x" * 201, "a\nb"])
def test_key__function_that_returns_none_such__is_told(kit: Kit, made: Any) -> None:
    with pytest.raises(PayloadError, match="1 to 200 printable characters"):
        Saga.objects.start(keyed(kit, lambda context: made))


def test_key__function_that_raises__is_told(kit: Kit) -> None:
    with pytest.raises(PayloadError, match="KeyError"):
        Saga.objects.start(keyed(kit, lambda context: context["order_id"]))


def test_refused__with_the_holder__and_the_callers_transaction_goes_on(kit: Kit) -> None:
    definition = keyed(kit, lock_policy="refuse")
    holder = Saga.objects.start(definition, context={"order_id": 7})

    with transaction.atomic():
        with pytest.raises(LockHeldError) as caught:
            Saga.objects.start(definition, context={"order_id": 7})
        other = Saga.objects.start(definition, context={"order_id": 8})

    assert caught.value.details["holder"] == holder.ulid
    assert set(Saga.objects.values_list("pk", flat=True)) == {holder.pk, other.pk}


def test_start_many__one_that_is_refused__starts_none(kit: Kit) -> None:
    definition = keyed(kit, lock_policy="refuse")

    with pytest.raises(LockHeldError):
        Saga.objects.start_many(definition, [{"context": {"order_id": number}} for number in (1, 2, 1)])

    assert not Saga.objects.exists()


def test_retry__while_another_has_the_lock__is_refused(kit: Kit, hand: Hand) -> None:
    from sagas.core.triggers import Rejected

    definition = keyed(kit, rollback=False)
    failed = hand.run(Saga.objects.start(definition, context={"order_id": 7}), Rejected)
    holder = Saga.objects.start(definition, context={"order_id": 7})

    with pytest.raises(LockHeldError, match=holder.ulid):
        failed.retry(reason="again")

    holder.cancel(reason="not wanted")
    assert failed.retry(reason="again").lock_state == Lock.HELD


def test_cancel_of_the_holder__tells_of_the_next(kit: Kit, hints: list[UUID]) -> None:
    definition = keyed(kit)
    first, second = (Saga.objects.start(definition, context={"order_id": 7}) for _ in range(2))
    hints.clear()

    first.cancel(reason="not wanted")

    assert hints == [second.pk]
