"""Same key and same payload: the same saga. Same key and another payload: a mistake of the caller's."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from sagas.exceptions import DuplicateSagaError
from sagas.models import Saga
from tests.store.threads import Holding, at_once, in_thread

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


def test_same_key_same_payload__is_the_same_saga(kit: Kit, hints: list[Any], hand: Hand) -> None:
    definition = kit.pair()
    first = Saga.objects.start(definition, context={"a": 1, "b": [1, 2]}, owner="ann", idempotency_key="k")
    hand.claim(first)

    again = Saga.objects.start(definition, context={"b": [1, 2], "a": 1}, owner="ann", idempotency_key="k")

    assert (again.pk, again.was_created, first.was_created) == (first.pk, False, True)
    assert again.revision == 2  # as it is now, not as it was then
    assert Saga.objects.count() == 1
    assert hints == [first.pk]


@pytest.mark.parametrize(
    "changes",
    [
        {"context": {"a": 2}},
        {"context": None},
        {"tags": ["x"]},
        {"priority": 1},
        {"rollback": False},
        {"subject": True},
    ],
)
def test_same_key_other_payload__is_refused(kit: Kit, changes: dict[str, Any]) -> None:
    definition = kit.pair()
    first = Saga.objects.start(definition, context={"a": 1}, idempotency_key="k")
    if "subject" in changes:
        changes = {"subject": Group.objects.create(name="x")}

    with transaction.atomic():
        with pytest.raises(
            DuplicateSagaError, match=r"'k' was used for saga \w{26} with another payload; use a new key"
        ) as caught:
            Saga.objects.start(definition, **{"context": {"a": 1}, **changes}, idempotency_key="k")
        assert Saga.objects.count() == 1  # the caller's transaction goes on

    assert caught.value.details == {"saga_id": first.pk}
    assert first.ulid in str(caught.value)


def test_key__belongs_to_name_and_owner(kit: Kit) -> None:
    one, two = kit.pair(), kit.define(kit.step("x"), word="other")

    sagas = [
        Saga.objects.start(one, owner="ann", idempotency_key="k"),
        Saga.objects.start(one, owner="bob", idempotency_key="k"),
        Saga.objects.start(one, idempotency_key="k"),
        Saga.objects.start(two, owner="ann", idempotency_key="k"),
        Saga.objects.start(one, owner="ann"),
        Saga.objects.start(one, owner="ann"),
    ]

    assert len({saga.pk for saga in sagas}) == 6


def test_retry_after_a_deploy__is_still_the_same_request(kit: Kit, settings: Any) -> None:
    definition = kit.pair()
    first = Saga.objects.start(definition, context={"a": 1}, idempotency_key="k")

    # The defaults are frozen into the graph: another setting makes another graph.
    settings.SAGAS = {**settings.SAGAS, "DEFAULT_TIMEOUT": 99}
    definition.rollback = False
    again = Saga.objects.start(definition, context={"a": 1}, idempotency_key="k")

    assert (again.pk, again.was_created) == (first.pk, False)
    assert Saga.objects.start(definition).graph_id != first.graph_id


def test_rolled_back__the_key_is_free(kit: Kit) -> None:
    definition = kit.pair()
    with transaction.atomic():
        Saga.objects.start(definition, context={"a": 1}, idempotency_key="k")
        transaction.set_rollback(True)

    assert Saga.objects.start(definition, context={"a": 2}, idempotency_key="k").was_created


def test_many_at_once__one_saga(kit: Kit) -> None:
    definition = kit.pair()

    sagas = at_once(*[lambda: Saga.objects.start(definition, context={"a": 1}, idempotency_key="k")] * 6)

    assert len({saga.pk for saga in sagas}) == 1
    assert sorted(saga.was_created for saga in sagas) == [False] * 5 + [True]


@pytest.mark.parametrize("roll_back", [True, False])
def test_key_of_a_transaction_that_is_still_open(kit: Kit, pg: str, roll_back: bool) -> None:
    definition = kit.pair()

    def start(n: int) -> Saga:
        return Saga.objects.start(definition, context={"a": n}, idempotency_key="k")

    with Holding(pg, lambda: start(1), roll_back=roll_back) as other:
        waiting = in_thread(lambda: start(2))
        other.release()

    if roll_back:
        assert waiting.result().was_created
    else:
        with pytest.raises(DuplicateSagaError):
            waiting.result()
    assert Saga.objects.get().context == {"a": 2 if roll_back else 1}
