"""The rollup: its counts are those of a full count, whatever happened, whoever counted, and in whatever slices."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import F

from sagas import SagaDefinition
from sagas.core import triggers as t
from sagas.core.errors import TransitionNotAllowedError
from sagas.engine.rollup import durations, horizon, look, refresh
from sagas.exceptions import StoreError
from sagas.models import HistoryEntry, Rollup, Saga, SagaCount, SagaHour, Step, StepHour
from tests.store.threads import Holding, at_once

from .kit import Hand, Kit

Counts = dict[tuple[str, str, str], int]


@pytest.fixture(params=["pg", "lite"])
def alias(request: pytest.FixtureRequest, transactional_db: None, settings: Any) -> str:
    """PostgreSQL and SQLite. (Asked for by its name too, or pytest-django does not make the database.)"""
    found: str = request.getfixturevalue(request.param)
    settings.SAGAS = {**settings.SAGAS, "DATABASE": found}
    return found


@pytest.fixture
def own(alias: str) -> Hand:
    """A worker's hand on that database."""
    return Hand(alias)


def counted() -> Counts:
    """What the rollup says."""
    rows = SagaCount.objects.exclude(count=0)
    return {(row.name, row.version, row.state): row.count for row in rows}


def true_counts() -> Counts:
    """What there is."""
    return dict(Counter(Saga.objects.values_list("name", "version", "state")))


def hours() -> dict[str, int]:
    """All hours as one."""
    found: Counter[str] = Counter()
    for row in SagaHour.objects.all():
        found.update(started=row.started, completed=row.completed, compensated=row.compensated, failed=row.failed)
    return {key: count for key, count in found.items() if count}


def catch_up() -> None:
    """Count until nothing is left, as the clerk does."""
    refresh(force=True)
    for _ in range(1000):
        if not refresh(force=True):
            return
    raise AssertionError("never done")


def recount() -> None:
    """A full count, as it begins by itself an hour after the last one."""
    Rollup.objects.update(walked_at=F("walked_at") - timedelta(hours=2))
    before = Rollup.objects.get().walked_at
    for _ in range(1000):
        refresh(force=True)
        if Rollup.objects.get().walked_at != before:
            return
    raise AssertionError("never done")


def finish(saga: Saga, hand: Hand) -> None:
    """Complete what is open, forward or back."""
    for _ in range(10):
        try:
            claim = hand.claim(saga)
        except ValueError:
            return
        hand.report(saga, claim, t.Completed)


class Chance:
    """Does something to some saga, again and again, from a seed."""

    def __init__(self, hand: Hand, definitions: list[type[SagaDefinition]], seed: int) -> None:
        self._hand, self._definitions, self._random = hand, definitions, random.Random(seed)
        self._sagas: list[Saga] = []

    def act(self, times: int, *, delete: bool = False) -> None:
        moves: list[Callable[[Saga], Any]] = [
            lambda saga: self._hand.run(saga, t.Completed),
            lambda saga: self._hand.run(saga, t.Completed),
            lambda saga: self._hand.run(saga, t.Rejected),
            lambda saga: self._hand.run(saga, t.InDoubt),
            lambda saga: finish(saga, self._hand),
            lambda saga: saga.compensate(),
            lambda saga: saga.cancel(reason="no", actor="ines"),
            lambda saga: saga.retry(),
            lambda saga: saga.pause(reason="no", actor="ines"),
            lambda saga: saga.resume(reason="yes", actor="ines"),
            lambda saga: saga.roll_back_to("first", reason="again", actor="ines"),
        ]
        for _ in range(times):
            if self._random.random() < 0.35 or not self._sagas:
                self._sagas.append(Saga.objects.start(self._random.choice(self._definitions)))
                continue
            saga = Saga.objects.get(pk=self._random.choice(self._sagas).pk)
            if delete and self._random.random() < 0.1:
                self._sagas.remove(saga)
                saga.delete()
                continue
            try:
                self._random.choice(moves)(saga)
            except (ValueError, TransitionNotAllowedError, StoreError):
                pass  # it is not in the mood for that


@pytest.fixture
def chance(kit: Kit, own: Hand) -> Callable[[int], Chance]:
    definitions = [
        kit.pair(word="pair"),
        kit.define(kit.step("first"), kit.step("second"), word="stubborn", rollback=False),
        kit.define(kit.step("first"), word="late", version="7"),
    ]
    return lambda seed: Chance(own, definitions, seed)


@pytest.mark.parametrize("seed", range(4))
def test_exact__after_each_of_many_looks(chance: Callable[[int], Chance], seed: int) -> None:
    acts = chance(seed)
    catch_up()
    for _ in range(6):
        acts.act(12)
        catch_up()

        assert counted() == true_counts()
    assert hours()["started"] == Saga.objects.count()
    states = {state for _name, _version, state in true_counts()}
    assert len(states) >= 3  # not vacuous


@pytest.mark.parametrize("seed", range(3))
def test_exact__first_count_of_what_is_there__in_slices_while_sagas_go_on(
    chance: Callable[[int], Chance], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = chance(seed)
    acts.act(60)
    monkeypatch.setattr(look, "FIRST_WALK", 5)
    monkeypatch.setattr(look, "SLICE", 7)

    looks = 0
    while Rollup.objects.filter(walked_at__isnull=False).count() == 0:
        refresh(force=True)
        acts.act(3)
        looks += 1
    catch_up()

    assert looks > 3
    assert counted() == true_counts()
    assert hours()["started"] == Saga.objects.count()
    ended = HistoryEntry.objects.filter(data__has_key="state").values_list("data__state", flat=True)
    said = {state: count for state, count in Counter(ended).items() if state not in ("started", "compensating")}
    assert {state: count for state, count in hours().items() if state != "started"} == said


@pytest.mark.parametrize("seed", range(2))
def test_exact__again_after_rows_were_deleted(
    chance: Callable[[int], Chance], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = chance(seed)
    catch_up()
    acts.act(40, delete=True)
    catch_up()
    acts.act(40, delete=True)
    catch_up()
    wrong = counted()
    monkeypatch.setattr(look, "LATER_WALK", 4)

    recount()
    acts.act(5)
    catch_up()

    assert counted() == true_counts()
    assert wrong != counted()


def test_recount__goes_on_beside_new_transitions(chance: Callable[[int], Chance], monkeypatch: Any) -> None:
    acts = chance(9)
    acts.act(40)
    catch_up()
    monkeypatch.setattr(look, "LATER_WALK", 3)
    Rollup.objects.update(walked_at=F("walked_at") - timedelta(hours=2))

    for _ in range(30):
        acts.act(2)
        refresh(force=True)
        assert counted() == true_counts()  # also while it goes round

    assert Rollup.objects.get().walk is None


def test_hours_and_durations(kit: Kit, own: Hand, alias: str) -> None:
    catch_up()
    saga = Saga.objects.start(kit.define(kit.step("first"), kit.step("second"), word="timed"))
    own.run(saga, t.Completed)
    claim = own.claim(saga)
    Step.objects.filter(saga=saga, name="second").update(started_at=F("started_at") - timedelta(seconds=40))
    own.report(saga, claim, t.Completed)
    catch_up()

    hour = HistoryEntry.objects.latest("id").at.replace(minute=0, second=0, microsecond=0)
    (row,) = SagaHour.objects.all()
    assert (row.hour, row.name, row.started, row.completed) == (hour, saga.name, 1, 1)
    rows = {row.step: row for row in StepHour.objects.all()}
    assert {step: sum(row.bins.values()) for step, row in rows.items()} == {"first": 1, "second": 1}
    second = durations.percentile(durations.added([rows["second"].bins]), 0.5)
    assert second == pytest.approx(40, rel=0.1)


def test_hours__of_the_time_before_the_first_count__as_far_as_they_are_kept(
    kit: Kit, own: Hand, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = kit.pair()
    old, new = Saga.objects.start_many(definition, [{}, {}])
    for saga in (old, new):
        own.run(saga, t.Completed, t.Completed)
    old.history.update(at=F("at") - timedelta(days=9))
    monkeypatch.setattr(look, "SLICE", 3)

    catch_up()

    assert hours() == {"started": 1, "completed": 1}
    assert sum(sum(row.bins.values()) for row in StepHour.objects.all()) == 2


def test_durations__where_most_of_the_history_was_deleted__none_is_passed_over(kit: Kit, own: Hand, alias: str) -> None:
    for saga in Saga.objects.start_many(kit.pair(), [{}] * 4):
        own.run(saga, t.Completed, t.Completed)
    HistoryEntry.objects.update(id=F("id") * 1001)  # as if a thousand had been between any two

    catch_up()

    assert sum(sum(row.bins.values()) for row in StepHour.objects.all()) == 8


def test_hours__old_ones_go(kit: Kit, alias: str) -> None:
    catch_up()
    SagaHour.objects.create(hour=datetime(2020, 1, 1, tzinfo=UTC), name="old", started=3)

    refresh(force=True)

    assert SagaHour.objects.count() == 0


def test_facts__attention_stale_and_the_oldest(kit: Kit, own: Hand, alias: str) -> None:
    definition = kit.pair()
    done, oldest, held, stale = Saga.objects.start_many(definition, [{}] * 4)
    own.run(done, t.Completed, t.Completed)
    own.run(held, t.Unrecorded)
    Saga.objects.filter(pk=stale.pk).update(stale_since=F("created_at"))

    refresh(force=True)

    facts = Rollup.objects.get().facts
    assert facts["attention"] == [[definition.name, "unrecorded", 1]]
    assert facts["stale"] == [[definition.name, 1]]
    assert facts["oldest"]["id"] == oldest.ulid
    assert facts["oldest"]["at"] == oldest.created_at.isoformat()


def test_due__not_before_its_time(kit: Kit, alias: str, settings: Any) -> None:
    catch_up()
    Saga.objects.start(kit.pair())

    refresh()
    early = counted()
    settings.SAGAS = {**settings.SAGAS, "ROLLUP_EVERY": 0.000001}
    refresh()

    assert early == {}
    assert counted() == true_counts()


def test_emptied_tables__are_counted_anew(kit: Kit, own: Hand, alias: str) -> None:
    Saga.objects.start_many(kit.pair(), [{}] * 5)
    catch_up()
    Rollup.objects.update(cursor=10**12)

    catch_up()

    assert counted() == true_counts()


def test_gaps__of_deleted_histories_cost_one_look(kit: Kit, alias: str) -> None:
    catch_up()
    Saga.objects.start(kit.pair())
    Rollup.objects.update(cursor=-(10**9))

    assert refresh(force=True) is False
    assert counted() == true_counts()


def test_migrated_sagas__are_put_right_by_a_full_count(kit: Kit, own: Hand, alias: str) -> None:
    saga = Saga.objects.start(kit.pair())
    catch_up()
    last = saga.history.latest("id")
    Saga.objects.filter(pk=saga.pk).update(version="2")
    HistoryEntry.objects.create(saga=saga, seq=2, kind="migrate", at=last.at)

    catch_up()

    assert counted() == {(saga.name, "2", "started"): 1}


def known(kit: Kit) -> type[SagaDefinition]:
    """One whose graph is there: who stores it first would be waited for."""
    definition = kit.pair()
    Saga.objects.start(definition)
    catch_up()
    return definition


def test_started_in_a_transaction_that_commits_late(kit: Kit, pg: str) -> None:
    definition = known(kit)

    with Holding(pg, lambda: Saga.objects.start(definition)):
        Saga.objects.start(definition)  # its entry has the higher id
        refresh(force=True)
        held_back = counted()
        mark = Rollup.objects.get().mark
        facts = Rollup.objects.get().facts
    refresh(force=True)

    assert held_back == {(definition.name, "1", "started"): 1}
    assert mark["writers"]
    assert facts["oldest"]  # what is seen of living sagas does not wait
    assert counted() == {(definition.name, "1", "started"): 3}


def test_late_commit__without_the_horizon_it_would_be_lost(kit: Kit, pg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test above."""
    definition = known(kit)
    monkeypatch.setattr(horizon, "_writers", lambda alias: frozenset())

    with Holding(pg, lambda: Saga.objects.start(definition)):
        Saga.objects.start(definition)
        refresh(force=True)
    refresh(force=True)

    assert counted() == {(definition.name, "1", "started"): 2}


def test_rolled_back_starts__are_not_waited_for(kit: Kit, pg: str) -> None:
    definition = known(kit)
    with Holding(pg, lambda: Saga.objects.start(definition), roll_back=True):
        Saga.objects.start(definition)
        refresh(force=True)

    refresh(force=True)

    assert counted() == {(definition.name, "1", "started"): 2}


def test_several_processes_at_once(kit: Kit, alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = kit.pair()
    Saga.objects.start_many(definition, [{}] * 20)
    monkeypatch.setattr(look, "FIRST_WALK", 3)
    monkeypatch.setattr(look, "SLICE", 5)

    def count() -> None:
        for _ in range(15):
            refresh(force=True)

    def start() -> None:
        for _ in range(10):
            Saga.objects.start(definition)

    at_once(count, count, start, count)
    catch_up()

    assert counted() == {(definition.name, "1", "started"): 30}
    assert hours() == {"started": 30}


def test_one_at_a_time__others_leave_it_alone(kit: Kit, pg: str) -> None:
    catch_up()
    Saga.objects.start(kit.pair())

    with Holding(pg, lambda: Rollup.objects.select_for_update().get()):
        assert refresh(force=True) is False
        assert counted() == {}
    refresh(force=True)

    assert counted() == true_counts()


def test_queries__as_many_for_many_sagas_as_for_few(kit: Kit, pg: str, django_assert_num_queries: Any) -> None:
    from django.test.utils import CaptureQueriesContext

    definition = kit.pair()
    catch_up()

    def queries(number: int) -> int:
        Saga.objects.start_many(definition, [{}] * number)
        with CaptureQueriesContext(connections[pg]) as found:
            refresh(force=True)
        return len(found)

    queries(1)
    assert queries(2) == queries(60)


def test_plans__read_no_big_table_whole(kit: Kit, pg: str) -> None:
    """One look at a table with many sagas reads as many rows as there are new ones."""
    definition = kit.pair()
    Saga.objects.start_many(definition, [{}] * 300)
    catch_up()
    Saga.objects.start_many(definition, [{}] * 3)
    with connections[pg].cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        before = _scans(cursor)
        refresh(force=True)
        cursor.execute("SELECT pg_stat_force_next_flush()")
        after = _scans(cursor)

    assert after == before


def _scans(cursor: Any) -> list[Any]:
    cursor.execute(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN "
        "('sagas_saga', 'sagas_historyentry', 'sagas_step') ORDER BY 1"
    )
    found: list[Any] = cursor.fetchall()
    return found


def test_stale_monitor__keeps_it_up_where_no_worker_runs(kit: Kit, alias: str) -> None:
    Saga.objects.start(kit.pair())

    call_command("saga_flag_stale", verbosity=0)

    assert counted() == true_counts()
    assert Rollup.objects.get().monitored_at is not None


def test_task__keeps_it_up_too(kit: Kit, alias: str) -> None:
    from sagas.tasks import flag_stale

    Saga.objects.start(kit.pair())
    flag_stale()

    assert counted() == true_counts()
    assert Rollup.objects.get().monitored_at is not None


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001, 0.02, 1.0, 59.0, 3600.0, 10.0**6])
def test_bins__are_right_to_a_tenth(seconds: float) -> None:
    found = durations.middle(durations.bin_of(seconds))

    assert found == pytest.approx(seconds, rel=0.1, abs=0.0006)


def test_percentiles() -> None:
    bins = Counter(durations.bin_of(seconds / 10) for seconds in range(1, 101))

    assert durations.percentile(bins, 0.5) == pytest.approx(5, rel=0.1)
    assert durations.percentile(bins, 0.95) == pytest.approx(9.5, rel=0.1)
    assert durations.percentile(Counter(), 0.5) is None
