"""Debts that stay open: told again once per period, whoever looks, until somebody settles them."""

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F

from sagas.core import triggers as t
from sagas.core.states import StepStatus
from sagas.engine import remind
from sagas.engine.check import Finding, check
from sagas.engine.remind import remind_of_debts
from sagas.models import HistoryEntry, Saga
from sagas.signals import debt_reminded
from tests.store.threads import at_once

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")

Told = list[dict[str, Any]]


@pytest.fixture
def heard() -> Iterator[Told]:
    """What a receiver of the signal is told."""
    found: Told = []

    def hear(sender: type, **told: Any) -> None:
        found.append({name: told[name] for name in ("saga_id", "name", "step", "age", "owner")})

    debt_reminded.connect(hear)
    yield found
    debt_reminded.disconnect(hear)


@pytest.fixture
def debt(kit: Kit, hand: Hand) -> Saga:
    """Its first step could not be undone."""
    saga = Saga.objects.start(kit.pair())
    hand.run(saga, t.Completed, t.Rejected, t.Rejected)
    assert list(saga.steps.values_list("status", flat=True)) == [StepStatus.COMPENSATION_FAILED, StepStatus.FAILED]
    return saga


def pass_time(*sagas: Saga, hours: float) -> None:
    """As if all that has happened had happened so much earlier."""
    HistoryEntry.objects.filter(saga__in=sagas).update(at=F("at") - timedelta(hours=hours))


def step_of(saga: Saga) -> Any:
    return saga.steps.get(status=StepStatus.COMPENSATION_FAILED)


def notes(saga: Saga) -> int:
    return saga.history.filter(kind="debt_reminded").count()


def test_remind__once_per_period(debt: Saga, heard: Told, caplog: pytest.LogCaptureFixture) -> None:
    pass_time(debt, hours=23)
    early = remind_of_debts()
    pass_time(debt, hours=2)

    counts = [remind_of_debts(), remind_of_debts()]
    pass_time(debt, hours=25)
    later = remind_of_debts()

    assert (early, counts, later) == (0, [1, 0], 1)
    name = step_of(debt).name
    assert [(told["saga_id"], told["name"], told["step"]) for told in heard] == [(debt.pk, debt.name, name)] * 2
    assert [told["age"] // timedelta(hours=1) for told in heard] == [25, 50]
    records = [record for record in caplog.records if record.name == "sagas.engine.remind"]
    assert len(records) == 2
    assert notes(debt) == 2


def test_remind__changes_nothing_but_the_history(debt: Saga) -> None:
    before = Saga.objects.filter(pk=debt.pk).values().get()
    pass_time(debt, hours=25)

    remind_of_debts()

    assert Saga.objects.filter(pk=debt.pk).values().get() == before
    entry = debt.history.order_by("-id")[0]
    assert (entry.kind, entry.seq, entry.step, entry.note_key) == (
        "debt_reminded",
        None,
        step_of(debt).name,
        "debt:0:1",
    )
    pass_time(debt, hours=-25)
    assert not [item for item in check() if isinstance(item, Finding)]


def test_remind__at_once_in_many_places__is_one_note(kit: Kit, hand: Hand, heard: Told) -> None:
    sagas = Saga.objects.start_many(kit.pair(), [{}] * 6)
    for saga in sagas:
        hand.run(saga, t.Completed, t.Rejected, t.Rejected)
    pass_time(*sagas, hours=25)

    counts = at_once(remind_of_debts, remind_of_debts, remind_of_debts)

    assert sum(counts) == 6
    assert sorted(told["saga_id"] for told in heard) == sorted(saga.pk for saga in sagas)
    assert [notes(saga) for saga in sagas] == [1] * 6


def test_remind__of_one_that_was_just_told_by_another__is_no_second_note(
    debt: Saga, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time(debt, hours=25)
    found = list(remind._debts(remind.get_store().now(), timedelta(days=1)))
    assert remind_of_debts() == 1
    monkeypatch.setattr(remind, "_debts", lambda now, period: iter(found))

    assert remind_of_debts() == 0
    assert notes(debt) == 1


def test_remind__owner_is_told__and_a_new_owner_has_a_period(debt: Saga, heard: Told) -> None:
    pass_time(debt, hours=25)
    debt.assign(step_of(debt).name, owner="ines")

    fresh = remind_of_debts()
    pass_time(debt, hours=25)
    remind_of_debts()

    assert fresh == 0
    assert [(told["owner"], told["age"] // timedelta(hours=1)) for told in heard] == [("ines", 50)]


@pytest.mark.parametrize(("hours", "told"), [(1, 0), (-1, 1)], ids=["ahead", "passed"])
def test_remind__next_try(debt: Saga, hours: int, told: int) -> None:
    debt.assign(step_of(debt).name, owner="ines", next_try=remind.get_store().now() + timedelta(hours=hours))
    pass_time(debt, hours=25)

    assert remind_of_debts() == told


@pytest.mark.parametrize("done", [True, False])
def test_remind__not_of_what_is_settled(debt: Saga, done: bool) -> None:
    debt.resolve(step_of(debt).name, done=done, reason="by hand")
    pass_time(debt, hours=25)

    assert remind_of_debts() == 0


def test_remind__of_a_paused_saga_too(debt: Saga) -> None:
    debt.pause()
    pass_time(debt, hours=25)

    assert remind_of_debts() == 1


def test_remind__setting(debt: Saga, settings: Any) -> None:
    pass_time(debt, hours=25)
    settings.SAGAS = {**settings.SAGAS, "DEBT_REMINDER": None}
    never = remind_of_debts()
    settings.SAGAS = {**settings.SAGAS, "DEBT_REMINDER": timedelta(days=2)}
    late = remind_of_debts()
    settings.SAGAS = {**settings.SAGAS, "DEBT_REMINDER": 3600}

    assert (never, late, remind_of_debts()) == (0, 0, 1)


def test_remind__a_receiver_that_raises_harms_nobody(debt: Saga) -> None:
    def fail(sender: type, **told: Any) -> None:
        raise OSError("no pager")

    pass_time(debt, hours=25)
    debt_reminded.connect(fail)
    try:
        assert remind_of_debts() == 1
    finally:
        debt_reminded.disconnect(fail)


def test_command_and_task__remind(debt: Saga, heard: Told) -> None:
    from sagas.tasks import flag_stale

    out = io.StringIO()
    pass_time(debt, hours=25)
    call_command("saga_flag_stale", stdout=out)
    pass_time(debt, hours=25)

    assert out.getvalue() == "flagged 0 stale sagas\nreminded of debts: 1\n"
    assert flag_stale() == 0
    assert len(heard) == 2
