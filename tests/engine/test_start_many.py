"""Starting many: all or nothing, in order, in few statements."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sagas.engine import start as use_case
from sagas.exceptions import DefinitionError, DuplicateSagaError, PayloadError
from sagas.models import HistoryEntry, Saga, Step

from .kit import Kit

pytestmark = pytest.mark.usefixtures("pg")


@pytest.fixture
def chunks_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "CHUNK", 3)


@pytest.mark.usefixtures("chunks_of_three")
@pytest.mark.parametrize("number", [0, 1, 3, 8])
def test_start_many__in_order(kit: Kit, hints: list[UUID], number: int) -> None:
    rows = ({"context": {"n": n}, "owner": f"o{n}"} for n in range(number))  # any iterable

    sagas = Saga.objects.start_many(kit.pair(), rows)

    assert [saga.context for saga in sagas] == [{"n": n} for n in range(number)]
    assert [saga.owner for saga in sagas] == [f"o{n}" for n in range(number)]
    assert [saga.pk for saga in sagas] == sorted(saga.pk for saga in sagas) == hints
    assert Saga.objects.count() == number
    assert Step.objects.count() == 2 * number
    assert HistoryEntry.objects.count() == number


@pytest.mark.usefixtures("chunks_of_three")
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"context": {"n": float("nan")}}, PayloadError),
        ({"owner": "x" * 200}, PayloadError),
        ({"contxt": {}}, TypeError),
        ({"idempotency_key": "k", "context": {"other": 1}}, DuplicateSagaError),
        ({"steps": [{"name": "a"}]}, DefinitionError),
    ],
)
def test_start_many__one_bad_row__none_exists(
    kit: Kit, hints: list[UUID], bad: dict[str, Any], error: type[Exception]
) -> None:
    rows = [{"idempotency_key": "k"}, *({"context": {"n": n}} for n in range(5)), bad, {}]

    with pytest.raises(error):
        Saga.objects.start_many(kit.pair(), rows)

    assert not Saga.objects.exists()
    assert hints == []


def test_start_many__inside_the_callers_transaction(kit: Kit, hints: list[UUID]) -> None:
    definition = kit.pair()
    with transaction.atomic():
        Saga.objects.start_many(definition, [{}, {}])
        assert hints == []
        transaction.set_rollback(True)

    assert not Saga.objects.exists()
    assert hints == []

    with transaction.atomic():
        sagas = Saga.objects.start_many(definition, [{}, {}])
        with pytest.raises(PayloadError):
            Saga.objects.start_many(definition, [{}, {"owner": 7}])

    assert {saga.pk for saga in sagas} == set(Saga.objects.values_list("pk", flat=True)) == set(hints)


@pytest.mark.usefixtures("chunks_of_three")
def test_start_many__keys_within_the_rows(kit: Kit, hints: list[UUID]) -> None:
    definition = kit.pair()
    known = Saga.objects.start(definition, idempotency_key="known")
    del hints[:]

    keys = ["a", "b", "a", "known", "c", "a", None, None]
    sagas = Saga.objects.start_many(definition, [{"idempotency_key": key} for key in keys])

    a, b, a_again, same, c, a_much_later, *without = sagas
    assert a.pk == a_again.pk == a_much_later.pk
    assert same.pk == known.pk
    assert [saga.was_created for saga in sagas] == [True, True, False, False, True, False, True, True]
    assert len({a.pk, b.pk, c.pk, known.pk, *(saga.pk for saga in without)}) == 6
    assert hints == [a.pk, b.pk, c.pk, *(saga.pk for saga in without)]


def test_start_many__as_many_statements_for_hundred_as_for_two(kit: Kit) -> None:
    definition = kit.pair()
    Saga.objects.start(definition)

    def cost(number: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            Saga.objects.start_many(definition, [{"context": {"n": n}} for n in range(number)])
        return len(captured)

    assert cost(100) == cost(2) <= 5


def test_start_many__rows_with_their_own_options(kit: Kit) -> None:
    do = kit.action("do")
    own = [{"name": "own", "action": do, "no_compensation": "reads only"}]

    plain, with_steps = Saga.objects.start_many(kit.pair(), [{"priority": 5}, {"steps": own, "rollback": False}])

    assert plain.priority == 5
    assert [step.name for step in plain.steps.all()] == ["first", "second"]
    assert [step.name for step in with_steps.steps.all()] == ["own"]
    assert not with_steps.rollback
