"""`saga_check`: says what does not hold, on the rows as they are."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from sagas.core import triggers as t
from sagas.definitions.ids import id_text, new_id
from sagas.models import HistoryEntry, Saga, Step

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


def run(*words: str) -> tuple[int, list[str]]:
    """The command's exit code and lines."""
    said, code = io.StringIO(), 0
    try:
        call_command("saga_check", *words, stdout=said)
    except SystemExit as exc:
        code = int(exc.code or 0)
    return code, said.getvalue().splitlines()


def test_all_is_well(kit: Kit, hand: Hand) -> None:
    definition = kit.pair()
    saga = Saga.objects.start(definition)
    hand.run(saga, t.Completed, t.InDoubt, t.Rejected, t.Completed, t.Completed)
    assert Saga.objects.get(pk=saga.pk).is_compensated
    Saga.objects.start(definition)

    assert run() == (0, ["checked 2 sagas: 0 violations"])
    assert run("--alive") == (0, ["checked 1 sagas: 0 violations"])
    assert run(saga.ulid, str(saga.pk)) == (0, ["checked 1 sagas: 0 violations"])


def test_i1__forgotten(kit: Kit) -> None:
    saga = Saga.objects.start(kit.pair())
    Saga.objects.update(wake_at=F("wake_at") - timedelta(minutes=2))

    code, lines = run()

    assert code == 1
    assert lines[0].startswith(f"{saga.ulid} I1: nobody has looked at it since 20")
    assert lines[1] == "checked 1 sagas: 1 violations"


@pytest.mark.parametrize("table", ["saga", "step", "history"])
def test_i2__edited_by_hand(kit: Kit, hand: Hand, table: str) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), t.Completed)
    if table == "saga":
        Saga.objects.update(error_code="hand")
    elif table == "step":
        Step.objects.filter(position=0).update(status="pending")
    else:
        HistoryEntry.objects.filter(seq=2).delete()

    code, lines = run()

    assert code == 1
    assert all(line.startswith(f"{saga.ulid} I2: ") for line in lines[:-1])


def test_i3__named_and_not_there(kit: Kit) -> None:
    there, missing = Saga.objects.start(kit.pair()), new_id()

    assert run(there.ulid, str(missing)) == (
        1,
        [f"{id_text(missing)} I3: there is no such saga", "checked 1 sagas: 1 violations"],
    )


def test_i8__compensated_by_hand(kit: Kit, hand: Hand) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), t.Completed)
    Saga.objects.update(state="compensated", wake_at=None)

    code, lines = run()

    assert code == 1
    assert f"{saga.ulid} I8: compensated, but first is completed" in lines


def test_not_an_id() -> None:
    with pytest.raises(CommandError, match="expected saga ids as ULID or UUID text, got 'nonsense'"):
        call_command("saga_check", "nonsense")


def test_more_than_a_page(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagas.engine.check.PAGE", 2)
    Saga.objects.start_many(kit.pair(), [{}] * 5)

    assert run() == (0, ["checked 5 sagas: 0 violations"])
