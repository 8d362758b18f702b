"""Starting a saga: inside the caller's transaction, with everything checked first."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connections, transaction

from sagas import SagaDefinition, parallel, step
from sagas.core.states import SagaState
from sagas.exceptions import DefinitionError, PayloadError, StoreError
from sagas.models import HistoryEntry, Saga, Step
from tests.store.database import added_database, lite_settings

from .kit import Kit

pytestmark = pytest.mark.usefixtures("pg")


def test_start__alone__is_committed_and_announced(kit: Kit, hints: list[UUID]) -> None:
    saga = Saga.objects.start(kit.pair(), context={"order": 7})

    assert Saga.objects.get().pk == saga.pk
    assert hints == [saga.pk]
    assert saga.is_started
    assert [row.name for row in saga.steps.all()] == ["first", "second"]
    assert [entry.kind for entry in saga.history.all()] == ["started"]


def test_start__what_is_returned__is_what_is_stored(kit: Kit) -> None:
    subject = Group.objects.create(name="a subject")

    saga = Saga.objects.start(
        kit.pair(version="3", rollback=False),
        context={"b": [1, 2.5, None], "a": "ü"},
        subject=subject,
        owner="ann",
        idempotency_key="k 1",
        tags=["x", "y"],
        priority=-7,
        deadline=datetime(2030, 1, 2, tzinfo=UTC),
        request_id="r-1",
    )

    stored = Saga.objects.get(pk=saga.pk)
    names = [field.attname for field in Saga._meta.concrete_fields]
    assert {name: getattr(saga, name) for name in names} == {name: getattr(stored, name) for name in names}
    assert saga.was_created
    assert (saga._state.adding, saga._state.db) == (False, "default")
    assert stored.subject == subject
    assert (stored.version, stored.rollback, stored.tags, stored.priority) == ("3", False, ["x", "y"], -7)
    assert str(saga) == f"{saga.name} {saga.ulid}"
    assert Saga.objects.by_id(saga.ulid) == Saga.objects.by_id(str(saga.pk)) == saga


def test_start__definition_by_its_name(kit: Kit) -> None:
    definition = kit.pair()

    assert Saga.objects.start(definition.name).name == definition.name


def test_start__callers_transaction_rolled_back__does_not_exist(kit: Kit, hints: list[UUID]) -> None:
    with transaction.atomic():
        Group.objects.create(name="the host's own row")
        saga = Saga.objects.start(kit.pair(), idempotency_key="k")
        assert Saga.objects.filter(pk=saga.pk).exists()
        transaction.set_rollback(True)

    assert not Saga.objects.exists()
    assert not Step.objects.exists()
    assert not HistoryEntry.objects.exists()
    assert hints == []


def test_start__callers_exception__does_not_exist(kit: Kit, hints: list[UUID]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Saga.objects.start(kit.pair())
        _ = 1 / 0

    assert not Saga.objects.exists()
    assert hints == []


def test_start__savepoint_rolled_back__neither(kit: Kit, hints: list[UUID]) -> None:
    definition = kit.pair()

    with transaction.atomic():
        kept = Saga.objects.start(definition)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Saga.objects.start(definition)
            _ = 1 / 0

    assert [saga.pk for saga in Saga.objects.all()] == [kept.pk]
    assert hints == [kept.pk]


def test_start__hint__only_after_the_commit_in_the_order_of_the_hooks(kit: Kit, hints: list[UUID]) -> None:
    seen: list[str] = []
    definition = kit.pair()

    with transaction.atomic():
        transaction.on_commit(lambda: seen.append(f"before: {len(hints)}"))
        Saga.objects.start(definition)
        transaction.on_commit(lambda: seen.append(f"after: {len(hints)}"))
        seen.append(f"inside: {len(hints)}")

    assert seen == ["inside: 0", "before: 0", "after: 1"]


def test_start__hook_of_the_host_raises__the_saga_is_not_lost(kit: Kit, hints: list[UUID]) -> None:
    # Django drops every later hook, ours with it: the hint is lost, and the row is its own outbox.
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        transaction.on_commit(broken)
        saga = Saga.objects.start(kit.pair())

    stored = Saga.objects.get(pk=saga.pk)
    assert hints == []
    assert stored.wake_at is not None
    assert stored.wake_at <= stored.created_at + timedelta(seconds=2)


@pytest.mark.parametrize("inside", [True, False])
def test_start__our_hint_fails__the_caller_does_not_notice(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, inside: bool
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("the broker's library has a bad day")

    monkeypatch.setattr("sagas.engine.start.hint", broken)
    after: list[str] = []

    if inside:
        with transaction.atomic():
            Saga.objects.start(kit.pair())
            transaction.on_commit(lambda: after.append("the host's own hook"))
    else:
        Saga.objects.start(kit.pair())

    assert Saga.objects.count() == 1
    assert after == ["the host's own hook"] * inside
    assert "bad day" in caplog.text


def test_start__transaction_on_another_database__is_refused(kit: Kit, lite_file: Path, django_db_blocker: Any) -> None:
    definition = kit.pair()

    with added_database("other", lite_settings(lite_file)), transaction.atomic(using="other"):
        with pytest.raises(
            StoreError, match=r"expected a transaction on the database 'default'.*found one open on 'other'"
        ):
            Saga.objects.start(definition)
        with pytest.raises(StoreError, match="would not be rolled back with it"):
            Saga.objects.start_many(definition, [{}])
        with transaction.atomic():  # one on ours as well: it is undone with that
            Saga.objects.start(definition)

    assert Saga.objects.count() == 1


def test_start__sagas_in_another_database(kit: Kit, lite: str, settings: Any) -> None:
    settings.SAGAS = {**settings.SAGAS, "DATABASE": lite}
    definition = kit.pair()

    saga = Saga.objects.start(definition, idempotency_key="k")
    again = Saga.objects.start(definition, idempotency_key="k")
    saga.compensate(reason="why")

    assert not Saga.objects.using("default").exists()
    assert (again.pk, again.was_created, again._state.db) == (saga.pk, False, lite)
    assert Saga.objects.using(lite).get().is_compensated
    assert [step.name for step in saga.steps.all()] == ["first", "second"]
    assert [planned.step for planned in saga.compensation_plan().keep] == ["second", "first"]
    assert saga.next_steps() == []


def test_astart__from_async_code(kit: Kit) -> None:
    definition = kit.pair()

    async def view() -> Saga:
        started: Saga = await Saga.objects.astart(definition, context={"n": 1}, owner="ann")
        await sync_to_async(connections.close_all)()
        return started

    saga = asyncio.run(view())

    assert Saga.objects.get(pk=saga.pk).context == {"n": 1}
    assert saga.owner == "ann"


def test_start__no_steps__is_complete_and_nobody_is_told(kit: Kit, hints: list[UUID]) -> None:
    saga = Saga.objects.start(kit.define())

    assert (saga.state, saga.wake_at) == (SagaState.COMPLETED, None)
    assert saga.completed_at == saga.created_at
    assert hints == []


def test_start__rollback_of_the_definition_and_of_the_start(kit: Kit) -> None:
    assert Saga.objects.start(kit.pair(rollback=False)).rollback is False
    with_rollback = kit.pair(word="other")
    assert Saga.objects.start(with_rollback).rollback is True
    assert Saga.objects.start(with_rollback, rollback=False).rollback is False


def test_start__input_of_the_ready_steps__is_worked_out(kit: Kit) -> None:
    definition = kit.define(
        parallel(
            kit.step("fixed", input={"n": 1}),
            kit.step("worked_out", input=lambda context, outputs: {"twice": context["n"] * 2, "none": list(outputs)}),
            kit.step("nothing"),
        ),
        kit.step("later", input=lambda context, outputs: {"never": "now"}),
    )

    saga = Saga.objects.start(definition, context={"n": 21})

    inputs = {row.name: row.input for row in saga.steps.all()}
    assert inputs == {"fixed": {"n": 1}, "worked_out": {"twice": 42, "none": []}, "nothing": {}, "later": None}


def test_start__input_function_can_not_change_the_context(kit: Kit) -> None:
    definition = kit.define(kit.step("only", input=lambda context, outputs: context.update(n=2)))

    with pytest.raises(PayloadError, match="read-only"):
        Saga.objects.start(definition, context={"n": 1})
    assert not Saga.objects.exists()


def test_start__context_is_taken_as_it_is_now(kit: Kit) -> None:
    context: dict[str, Any] = {"items": [1]}

    saga = Saga.objects.start(kit.pair(), context=context)
    context["items"].append(2)

    assert saga.context == {"items": [1]}


def test_start__deadline_after_now(kit: Kit) -> None:
    saga = Saga.objects.start(kit.pair(), deadline=timedelta(hours=1))

    assert saga.deadline_at is not None
    assert timedelta(minutes=59) < saga.deadline_at - saga.created_at < timedelta(minutes=61)


def test_start__subject_with_any_kind_of_key(kit: Kit) -> None:
    user = User.objects.create(username="ann")
    saga = Saga.objects.start(kit.pair(), subject=user)

    assert Saga.objects.get(pk=saga.pk).subject == user
    user.delete()


# -- what is refused, and with which words ------------------------------------------------------------------------


def refused(error: type[Exception], match: str, start: Callable[[], Any]) -> None:
    """It is refused before anything is written, and the caller's transaction stays usable."""
    with transaction.atomic():
        with pytest.raises(error, match=match):
            start()
        assert not Saga.objects.exists()


def test_refused__unknown_definition(kit: Kit) -> None:
    refused(
        DefinitionError,
        r"expected the name of a saga definition \(known: .*order_processing",
        lambda: Saga.objects.start("order"),
    )
    refused(DefinitionError, "expected a SagaDefinition with a name, or its name, got 7", lambda: Saga.objects.start(7))  # type: ignore[arg-type]
    refused(DefinitionError, "expected a SagaDefinition with a name", lambda: Saga.objects.start(SagaDefinition))


def test_refused__unknown_handlers(kit: Kit) -> None:
    do = kit.action("do")
    undo = kit.compensation("undo")
    cases = {
        r"unknown action 'nobody': no @action\('nobody'\) was imported; handlers belong into the sagas.py": step(
            "x", action="nobody", compensation=undo
        ),
        "unknown compensation 'nobody'": step("x", action=do, compensation="nobody"),
        "to be a compensation, it is registered as the other sort": step("x", action=do, compensation=do),
        "to be a action, it is registered|to be an action, it is registered": step("x", action=undo, compensation=undo),
    }
    for number, (text, item) in enumerate(cases.items()):
        definition = kit.define(item, word=f"d{number}")
        refused(DefinitionError, text, lambda definition=definition: Saga.objects.start(definition))
        refused(DefinitionError, text, lambda item=item: Saga.objects.start("own", steps=[item]))


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({"n": float("nan")}, "JSON can hold"),
        ({"n": float("inf")}, "JSON can hold"),
        ({"t": "a\x00b"}, r"U\+0000"),
        ({"a\x00b": 1}, r"U\+0000"),
        ({"t": "\ud800"}, "surrogate"),
        ({"s": {1, 2}}, "JSON can hold"),
        ({"d": datetime(2026, 1, 1)}, "JSON can hold"),
        ({("a", "b"): 1}, "JSON can hold"),
        ({"t": "x" * (256 * 1024)}, "at most 262144 bytes"),
        ({"t": "ü" * (128 * 1024)}, "at most 262144 bytes"),
        ([1, 2], "expected a dict, got list"),
        ("text", "expected a dict, got str"),
        (5, "expected a dict, got int"),
        ([], "expected a dict, got list"),
    ],
)
def test_refused__context(kit: Kit, context: Any, text: str) -> None:
    definition = kit.pair()

    refused(PayloadError, f"context: .*{text}", lambda: Saga.objects.start(definition, context=context))


def test_refused__context_too_deep_or_a_circle(kit: Kit) -> None:
    definition = kit.pair()
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    deepest: Any = []
    for _ in range(100_000):
        deepest = [deepest]
    circle: dict[str, Any] = {}
    circle["me"] = circle

    refused(PayloadError, "32 levels", lambda: Saga.objects.start(definition, context={"d": deep}))
    refused(PayloadError, "32 levels", lambda: Saga.objects.start(definition, context={"d": deepest}))
    refused(PayloadError, "context", lambda: Saga.objects.start(definition, context=circle))


def test_start__context_up_to_the_limit(kit: Kit) -> None:
    fits = "x" * (256 * 1024 - len('{"t":""}'))

    assert Saga.objects.start(kit.pair(), context={"t": fits}).context == {"t": fits}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"owner": "x" * 151}, "owner: expected at most 150"),
        ({"owner": "a\nb"}, "owner: .*printable"),
        ({"owner": None}, "owner"),
        ({"idempotency_key": ""}, "idempotency key: expected text that is not empty"),
        ({"idempotency_key": "x" * 201}, "idempotency key: expected at most 200"),
        ({"idempotency_key": "a\x00"}, "idempotency key: .*printable"),
        ({"idempotency_key": 7}, "idempotency key"),
        ({"tags": "abc"}, "tags: expected a list of at most 32 texts"),
        ({"tags": [1]}, "tags"),
        ({"tags": ["x"] * 33}, "tags"),
        ({"tags": ["a\x00"]}, "tags"),
        ({"tags": 5}, "tags"),
        ({"priority": 101}, "priority: expected a whole number from -100 to 100"),
        ({"priority": -101}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"deadline": datetime(2030, 1, 1)}, "deadline: expected an aware datetime"),
        ({"deadline": 60}, "deadline"),
        ({"deadline": timedelta.max}, "deadline"),
        ({"request_id": "x" * 129}, "request id"),
        ({"rollback": "no"}, "rollback: expected True or False"),
    ],
)
def test_refused__options(kit: Kit, options: dict[str, Any], text: str) -> None:
    definition = kit.pair()

    refused(PayloadError, text, lambda: Saga.objects.start(definition, **options))


@pytest.mark.parametrize("subject", [Group(name="not saved"), Group, "group 7"])
def test_refused__subject(kit: Kit, subject: Any) -> None:
    definition = kit.pair()

    refused(
        DefinitionError,
        "subject: expected a saved model instance",
        lambda: Saga.objects.start(definition, subject=subject),
    )


def test_refused__input_that_json_can_not_hold(kit: Kit) -> None:
    fixed = kit.define(kit.step("only", input={"n": float("nan")}))
    worked_out = kit.define(kit.step("only2", input=lambda context, outputs: {"s": {1}}), word="other")
    no_dict = kit.define(kit.step("only3", input=lambda context, outputs: 7), word="third")

    refused(PayloadError, "input of step 'only'", lambda: Saga.objects.start(fixed))
    refused(PayloadError, "input of step 'only2'", lambda: Saga.objects.start(worked_out))
    refused(PayloadError, "input of step 'only3'.*expected a dict, got int", lambda: Saga.objects.start(no_dict))


def test_start__writes_no_payload_to_the_log(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="sagas")

    Saga.objects.start(kit.pair(), context={"card": "4111-secret"})

    assert "4111-secret" not in caplog.text
