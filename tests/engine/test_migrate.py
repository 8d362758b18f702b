"""`saga_migrate`: sagas in flight on the graph of today's code; every row, and a history that is still sound."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sagas import SagaDefinition, step
from sagas.core import triggers as t
from sagas.definitions.registry import registry
from sagas.engine.check import check
from sagas.models import Saga, Step

from .kit import Hand, Kit

DROP = {"first": "first", "second": None}


@pytest.fixture(params=["pg", "lite"])
def alias(request: pytest.FixtureRequest, transactional_db: None, settings: Any) -> str:
    """PostgreSQL and SQLite. (Asked for by its name too, or pytest-django does not make the database.)"""
    found: str = request.getfixturevalue(request.param)
    settings.SAGAS = {**settings.SAGAS, "DATABASE": found}
    return found


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Calls the command; its exit code and lines."""

    def call(kit: Kit, mapping: Any, *words: str, versions: tuple[str, str] = ("1", "2")) -> tuple[int, list[str]]:
        file, said, code = tmp_path / "mapping.json", io.StringIO(), 0
        file.write_text(mapping if isinstance(mapping, str) else json.dumps(mapping))
        given = ["--from-version", versions[0], "--to-version", versions[1], "--map", str(file), *words]
        try:
            call_command("saga_migrate", kit.name("saga"), *given, stdout=said)
        except SystemExit as exc:
            code = int(exc.code or 0)
        return code, said.getvalue().splitlines()

    return call


def second_version(kit: Kit, *steps: Any, **attributes: Any) -> type[SagaDefinition]:
    """Today's code is another."""
    registry.definitions.pop(kit.name("saga"), None)
    return kit.define(*steps, version="2", **attributes)


def plain(kit: Kit, word: str, **options: Any) -> Any:
    return step(word, action=kit.name(word), compensation=kit.name(f"un{word}"), **options)


def sound(saga: Saga) -> bool:
    """Whether the check finds nothing in it."""
    return list(check(ids=[saga.pk])) == [1]


def rows(saga: Saga) -> list[tuple[Any, ...]]:
    steps = Step.objects.using(saga._state.db).filter(saga=saga).order_by("position")
    return list(steps.values_list("name", "status", "action", "compensation", "depends_on", "input"))


def test_moves__rows_and_history(alias: str, kit: Kit, hand: Hand, run: Any) -> None:
    hand.alias = alias
    saga = hand.run(Saga.objects.start(kit.pair()), t.Completed)
    second_version(
        kit,
        plain(kit, "first"),
        kit.step("between", input={"n": 1}),
        kit.step("last", input={"n": 2}, retry=None),
        word="saga",
    )

    code, lines = run(kit, {"first": "first", "second": "last"}, "--actor", "ann", "--reason", "new checks")

    assert (code, lines) == (0, [f"{saga.ulid} moved", "1 sagas moved, 0 skipped"])
    assert rows(saga) == [
        ("first", "completed", kit.name("first"), kit.name("unfirst"), [], {}),
        ("last", "pending", kit.name("last"), kit.name("unlast"), [2], {"n": 2}),
        ("between", "pending", kit.name("between"), kit.name("unbetween"), [0], {"n": 1}),
    ]
    saga = Saga.objects.using(alias).get(pk=saga.pk)
    assert saga.version == "2"
    entry = saga.history.get(kind="migrate")
    assert (entry.actor, entry.reason) == ("ann", "new checks")
    assert sound(saga)

    saga = hand.run(saga, t.Completed, t.Rejected, t.Completed, t.Completed)
    assert saga.is_compensated
    assert sound(saga)


def test_a_step_is_dropped__and_the_saga_is_done(alias: str, kit: Kit, hand: Hand, run: Any) -> None:
    hand.alias = alias
    saga = hand.run(Saga.objects.start(kit.pair()), t.Completed)
    second_version(kit, plain(kit, "first"))

    assert run(kit, DROP)[0] == 0

    saga = Saga.objects.using(alias).get(pk=saga.pk)
    assert saga.is_completed
    assert [row[:3] for row in rows(saga)] == [("first", "completed", kit.name("first")), ("second", "skipped", "")]
    assert sound(saga)


def test_two_steps_change_names(alias: str, kit: Kit, run: Any) -> None:
    saga = Saga.objects.start(kit.pair())
    second_version(kit, plain(kit, "first"), plain(kit, "second"))

    assert run(kit, {"first": "second", "second": "first"})[0] == 0

    assert [row[:2] + row[4:5] for row in rows(saga)] == [("second", "pending", [1]), ("first", "pending", [])]
    assert sound(saga)


def test_an_input_that_was_worked_out_is_worked_out_anew(alias: str, kit: Kit, run: Any) -> None:
    saga = Saga.objects.start(kit.define(kit.step("first", input=lambda context, outputs: {"old": 1})))
    assert rows(saga)[0][5] == {"old": 1}
    second_version(kit, plain(kit, "first", input=lambda context, outputs: {"new": 1}))

    assert run(kit, {"first": "first"})[0] == 0

    assert rows(saga)[0][5] is None
    assert sound(saga)


@pytest.mark.usefixtures("pg")
def test_a_step_becomes_a_child_saga(kit: Kit, run: Any) -> None:
    child = kit.define(kit.step("inner"), word="child")
    saga = Saga.objects.start(kit.pair())
    second_version(kit, plain(kit, "first"), step("ship", saga=child.name))

    assert run(kit, {"first": "first", "second": "ship"})[0] == 0

    assert rows(saga)[1][:4] == ("ship", "pending", f"saga:{child.name}", "")
    assert sound(saga)


@pytest.mark.usefixtures("pg")
def test_dry_run__says_the_same_and_changes_nothing(kit: Kit, hand: Hand, run: Any) -> None:
    definition = kit.pair()
    fine, busy, begun = (Saga.objects.start(definition) for _ in range(3))
    hand.claim(busy)
    hand.run(begun, t.Completed, t.InDoubt)
    second_version(kit, plain(kit, "first"))
    before = [rows(saga) for saga in (fine, busy, begun)]

    dry, lines = run(kit, DROP, "--dry-run")

    assert dry == 0
    assert lines == [
        f"{fine.ulid} would be moved",
        f"{busy.ulid} skipped: cannot migrate: step 'first' is running: try again later",
        f"{begun.ulid} skipped: cannot migrate: step 'second' has begun (it is pending): it can not be dropped",
        "1 sagas would be moved, 2 skipped",
    ]
    assert [rows(saga) for saga in (fine, busy, begun)] == before
    assert not Saga.objects.exclude(version="1").exists()

    code, real = run(kit, DROP)

    assert code == 1
    assert real == [line.replace("would be moved", "moved") for line in lines]
    assert all(map(sound, (fine, busy, begun)))


@pytest.mark.usefixtures("pg")
def test_again__goes_on_with_the_rest(kit: Kit, hand: Hand, run: Any) -> None:
    definition = kit.pair()
    fine, busy = (Saga.objects.start(definition) for _ in range(2))
    claim = hand.claim(busy)
    second_version(kit, plain(kit, "first"))
    run(kit, DROP)
    hand.report(busy, claim, t.HandedBack)

    assert run(kit, DROP) == (0, [f"{busy.ulid} moved", "1 sagas moved, 0 skipped"])
    assert run(kit, DROP) == (0, ["0 sagas moved, 0 skipped"])
    assert sound(fine)


@pytest.mark.usefixtures("pg")
def test_the_same_version__nothing_is_moved_twice(kit: Kit, run: Any) -> None:
    saga = Saga.objects.start(kit.pair())
    registry.definitions.pop(saga.name)
    kit.define(plain(kit, "first"), plain(kit, "second", timeout=9))
    mapping = {"first": "first", "second": "second"}

    assert run(kit, mapping, versions=("1", "1"))[0] == 0

    again = run(kit, mapping, versions=("1", "1"))
    assert again == (1, [f"{saga.ulid} skipped: it is on that graph already", "0 sagas moved, 1 skipped"])
    assert saga.history.filter(kind="migrate").count() == 1


@pytest.mark.usefixtures("pg")
def test_ended_and_rolling_back__stay(kit: Kit, hand: Hand, run: Any) -> None:
    definition = kit.pair()
    hand.run(Saga.objects.start(definition), t.Completed, t.Completed)
    back = hand.run(Saga.objects.start(definition), t.Completed, t.Rejected)
    second_version(kit, plain(kit, "first"))

    code, lines = run(kit, DROP)

    assert code == 1
    assert lines[0].startswith(f"{back.ulid} skipped: cannot migrate saga: expected state started, got compensating")
    assert lines[1] == "0 sagas moved, 1 skipped"


@pytest.mark.usefixtures("pg")
def test_steps_that_are_a_function_of_the_context(kit: Kit, run: Any) -> None:
    old = kit.pair()
    sagas = [Saga.objects.start(old, context=context) for context in ({"gift": True}, {"gift": False}, {})]
    registry.definitions.pop(sagas[0].name)
    more = kit.step("wrap")

    class Composed(SagaDefinition):
        name = kit.name("saga")
        version = "2"

        @staticmethod
        def steps(context: Mapping[str, Any]) -> list[Any]:
            return [plain(kit, "first"), *([more] if context["gift"] else [])]

    code, lines = run(kit, DROP)

    assert code == 1
    assert [line.partition(" ")[2] for line in lines[:2]] == ["moved", "moved"]
    assert lines[2].endswith(" skipped: steps= raised KeyError: 'gift'")
    assert [[row[0] for row in rows(saga)] for saga in sagas[:2]] == [["first", "second", "wrap"], ["first", "second"]]
    assert Composed.is_composed()


@pytest.mark.usefixtures("pg")
def test_more_than_a_page(kit: Kit, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagas.engine.migrate.PAGE", 2)
    Saga.objects.start_many(kit.pair(), [{}] * 5)
    second_version(kit, plain(kit, "first"))

    assert run(kit, DROP)[1][-1] == "5 sagas moved, 0 skipped"


@pytest.mark.usefixtures("pg")
@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"first": "first"}, "expected every old step in the mapping .*'second' is not in it"),
        ({"first": "first", "second": "first"}, "expected one old step for each new one, 'first' is named twice"),
        ({"first": "first", "second": "typo"}, "the mapping names 'typo', which is no step of the new graph"),
        ({**DROP, "typo": None}, "the mapping has 'typo', which no saga of version '1' has"),
        ([], "expected a JSON object of step names"),
        ({"first": 1}, "expected a JSON object of step names"),
        ("{", "cannot read"),
    ],
)
def test_mistakes__nothing_is_moved(kit: Kit, run: Any, mapping: Any, text: str) -> None:
    Saga.objects.start(kit.pair())
    second_version(kit, plain(kit, "first"))

    with pytest.raises(CommandError, match=text):
        run(kit, mapping)

    assert Saga.objects.get().version == "1"


@pytest.mark.usefixtures("pg")
def test_mistakes__another_version_and_another_name(kit: Kit, run: Any) -> None:
    kit.pair()

    with pytest.raises(CommandError, match="today's code has version '1', not '2'"):
        run(kit, DROP)
    registry.definitions.pop(kit.name("saga"))
    with pytest.raises(CommandError, match="expected the name of a saga definition"):
        run(kit, DROP)
