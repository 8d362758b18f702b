"""The stale monitor: flags once, logs once; progress clears the flag."""

import io
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F

from sagas.core import triggers as t
from sagas.engine import stale
from sagas.engine.check import Finding, check
from sagas.engine.stale import flag_stale
from sagas.models import Saga
from tests.store.threads import Holding, at_once

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


def age(*sagas: Saga, hours: float = 2) -> None:
    """As if nothing had happened for so long."""
    rows = Saga.objects.filter(pk__in=[saga.pk for saga in sagas])
    rows.update(updated_at=F("updated_at") - timedelta(hours=hours))


def flagged(saga: Saga) -> bool:
    return Saga.objects.get(pk=saga.pk).stale_since is not None


def test_flag__once_and_logged_once(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    old, new = Saga.objects.start_many(kit.pair(), [{}, {}])
    age(old)

    counts = [flag_stale(), flag_stale()]

    assert counts == [1, 0]
    assert (flagged(old), flagged(new)) == (True, False)
    assert [entry.kind for entry in old.history.order_by("seq")] == ["started", "flagged_stale"]
    (record,) = [record for record in caplog.records if record.name == "sagas.engine.stale"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"saga {old.ulid} has made no progress"
    assert record.saga_id == old.ulid  # type: ignore[attr-defined]


def test_flag__stays_what_it_was_beside_it(kit: Kit) -> None:
    saga = Saga.objects.start(kit.pair())
    age(saga)

    flag_stale()

    found = Saga.objects.get(pk=saga.pk)
    assert found.is_started
    assert found.wake_at == saga.wake_at
    assert list(Saga.objects.stale()) == [saga]


@pytest.mark.parametrize("hours", [0.9, 1.1])
def test_flag__after_the_setting(kit: Kit, hours: float) -> None:
    saga = Saga.objects.start(kit.pair())
    age(saga, hours=hours)

    flag_stale()

    assert flagged(saga) == (hours > 1)


def test_flag__setting_and_argument(kit: Kit, settings: Any) -> None:
    saga = Saga.objects.start(kit.pair())
    age(saga, hours=2)
    settings.SAGAS = {**settings.SAGAS, "STALE_AFTER": timedelta(hours=3)}

    assert flag_stale() == 0
    assert flag_stale(timedelta(hours=1)) == 1


def test_progress__clears_the_flag_and_it_may_be_flagged_again(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    age(saga)
    flag_stale()

    hand.run(saga, t.Completed)
    cleared = not flagged(saga)
    age(saga)

    assert cleared
    assert flag_stale() == 1
    assert [item for item in check() if isinstance(item, Finding)] == []


def test_end__clears_the_flag(kit: Kit) -> None:
    saga = Saga.objects.start(kit.pair())
    age(saga)
    flag_stale()

    assert saga.compensate().stale_since is None


def test_not_flagged__paused_attention_or_ended(kit: Kit, hand: Hand) -> None:
    definition = kit.pair(rollback=False)
    sagas = Saga.objects.start_many(definition, [{}] * 4)
    paused, held, failed, completed = sagas
    Saga.objects.filter(pk=paused.pk).update(paused_at=F("created_at"))
    hand.run(held, t.Unrecorded)
    hand.run(failed, t.Rejected)
    hand.run(completed, t.Completed, t.Completed)
    age(*sagas)

    assert flag_stale() == 0
    assert not any(flagged(saga) for saga in sagas)


def test_flag__more_than_one_group(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "_GROUP", 3)
    sagas = Saga.objects.start_many(kit.pair(), [{}] * 8)
    age(*sagas)

    assert flag_stale() == 8


def test_flag__twice_at_once__nothing_twice(kit: Kit) -> None:
    sagas = Saga.objects.start_many(kit.pair(), [{}] * 10)
    age(*sagas)

    flag_counts = at_once(flag_stale, flag_stale)
    rest = flag_stale()

    assert sum(flag_counts) + rest == 10
    assert all(saga.history.filter(kind="flagged_stale").count() == 1 for saga in sagas)


def test_flag__saga_that_moves_right_now__is_left_to_the_next_time(kit: Kit, pg: str) -> None:
    saga, other = Saga.objects.start_many(kit.pair(), [{}, {}])
    age(saga, other)

    with Holding(pg, lambda: Saga.objects.select_for_update().get(pk=saga.pk)):
        first = flag_stale()

    assert (first, flag_stale()) == (1, 1)


def test_command__says_how_many(kit: Kit) -> None:
    age(*Saga.objects.start_many(kit.pair(), [{}, {}]))
    out = io.StringIO()

    call_command("saga_flag_stale", stdout=out)

    assert out.getvalue() == "flagged 2 stale sagas\n"


def test_task__is_the_same(kit: Kit) -> None:
    from sagas.tasks import flag_stale as task

    age(Saga.objects.start(kit.pair()))

    assert task.name == "sagas.flag_stale"
    assert task() == 1
