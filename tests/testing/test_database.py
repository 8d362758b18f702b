"""Handlers that write real rows: what a run wrote is gone before the next, as far as the test's transaction allows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction

from sagas import RetryPolicy, SagaDefinition, StepContext, action, compensation, step
from sagas.testing import WAYS, CrashAfter, SagaRun, Timeout, fail_every_step, run_saga

TWO = RetryPolicy(max_attempts=2, base=1)


@action("rows.join", retry=TWO)
def join(ctx: StepContext) -> dict[str, Any]:
    """A row per key."""
    with transaction.atomic(durable=True):
        Group.objects.get_or_create(name=ctx.idempotency_key)
    return {}


@compensation("rows.leave", retry=TWO)
def leave(ctx: StepContext) -> None:
    Group.objects.filter(name=ctx.action_key).delete()


@action("rows.book", atomic=True, retry=TWO)
def book(ctx: StepContext) -> dict[str, Any]:
    """Not idempotent, and need not be: it happens with its record, or not at all."""
    Group.objects.create(name=f"booked {ctx.saga_id}")
    if ctx.context.get("trouble") == ctx.attempt:
        raise RuntimeError("after the row was written")
    return {}


@compensation("rows.unbook", atomic=True)
def unbook(ctx: StepContext) -> None:
    found, _ = Group.objects.filter(name=f"booked {ctx.saga_id}").delete()
    assert found == (1 if ctx.outcome == "completed" else 0)


@action("rows.clash", retry=TWO)
def clash(ctx: StepContext) -> dict[str, Any]:
    """The first attempt violates a constraint, outside any transaction of its own."""
    how = ctx.context.get("clash", "")
    if how and ctx.attempt == 1:
        Group.objects.create(name="taken")
        if how == "raw":
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO auth_group (name) VALUES ('taken')")
        Group.objects.bulk_create([Group(name="taken")])
    return {}


class Rows(SagaDefinition):
    name = "kit_rows"
    steps = [
        step("join", action="rows.join", compensation="rows.leave"),
        step("book", action="rows.book", compensation="rows.unbook"),
        step("clash", action="rows.clash", no_compensation="leaves nothing"),
    ]


def names() -> set[str]:
    return {name.split(":")[-1].split(" ")[0] for name in Group.objects.values_list("name", flat=True)}


def rows_balance(run: SagaRun) -> None:
    assert names() == ({"do", "booked"} if run.state == "completed" else set())
    assert Group.objects.count() in (0, 2)


@pytest.fixture
def in_transaction(db: None) -> None:
    """As in a TestCase."""


@pytest.fixture(params=["in_transaction", "transactional_db"])
def either(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue(request.param)
    Group.objects.exists()
    return str(request.param)


def test_every_step__starts_from_the_same_rows(in_transaction: None):
    Group.objects.create(name="before")

    report = fail_every_step(Rows, invariant=lambda run: None if Group.objects.count() in (1, 3) else False)

    assert report.count == 1 + 3 * 5 + 2 * 5
    assert names() == {"before"}


def test_every_step__without_a_transaction_the_rows_stay_and_reset_takes_them(transactional_db: None):
    assert fail_every_step(Rows, ways=WAYS[-2:-1]).count == 1 + 3 + 2
    assert Group.objects.count() == 8, "four of the six completed"

    report = fail_every_step(Rows, invariant=rows_balance, reset=Group.objects.all().delete)

    assert not report.not_reached


def test_atomic__a_failed_attempt_leaves_no_row(either: str):
    run = run_saga(Rows, {"trouble": 1})

    assert (run.state, run.called.count("book")) == ("completed", 2)
    rows_balance(run)


@pytest.mark.parametrize("fault", [CrashAfter(), Timeout()])
def test_atomic__what_was_not_recorded_did_not_happen(either: str, fault: Any):
    run = run_saga(Rows, fail={"book": [fault]})

    assert (run.state, run.attention) == ("completed", "")
    rows_balance(run)


def test_atomic__a_late_result_leaves_no_trace_either(either: str):
    run = run_saga(Rows, fail={"book": Timeout()})

    assert (run.state, run.statuses["book"], run.attention) == ("compensated", "failed", "")
    rows_balance(run)


@pytest.mark.parametrize("how", ["orm", "raw"])
def test_failing_statement__spoils_nothing_that_comes_after(in_transaction: None, how: str):
    run = run_saga(Rows, {"clash": how})

    assert (run.state, run.called.count("clash")) == ("completed", 2)
    rows_balance(run)


def test_failing_statement__of_the_test_itself_is_the_tests(in_transaction: None):
    Group.objects.create(name="taken")
    with pytest.raises(IntegrityError):
        Group.objects.bulk_create([Group(name="taken")])

    with pytest.raises(AssertionError, match="current transaction"):
        fail_every_step(Rows, invariant=rows_balance, ways=())
