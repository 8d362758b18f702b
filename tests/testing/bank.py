"""A transfer between accounts, for the tests of `fail_every_step`: handlers as they should be, and each way of getting
them wrong. The books are dicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sagas import Rejected, RetryPolicy, SagaDefinition, StepContext, action, compensation, parallel, step
from sagas.testing import SagaRun

TWO = RetryPolicy(max_attempts=2, base=60, jitter=False)


@dataclass
class Books:
    """What was taken and given, by key, and the keys that were undone."""

    taken: dict[str, int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    #: How the handlers are wrong.
    bugs: set[str] = field(default_factory=set)


BOOKS = Books()


def new_books(*bugs: str) -> None:
    """Empty books, and handlers with these bugs."""
    BOOKS.__init__(bugs=set(bugs) or BOOKS.bugs)  # type: ignore[misc]


def _fenced(ctx: StepContext) -> str:
    if ctx.idempotency_key in BOOKS.undone and "no fence" not in BOOKS.bugs:
        raise Rejected("undone already", code="undone")
    return ctx.idempotency_key


@action("bank.take", retry=TWO)
def take(ctx: StepContext) -> dict[str, Any]:
    key = _fenced(ctx)
    if "no dedupe" in BOOKS.bugs:
        key = f"{key}:{len(BOOKS.taken)}"
    BOOKS.taken[key] = ctx.input["amount"]
    return {"amount": ctx.input["amount"], "key": key}


@compensation("bank.put_back", retry=TWO)
def put_back(ctx: StepContext) -> None:
    if "trusts the output" in BOOKS.bugs:
        BOOKS.taken.pop(ctx.output["key"], None)
    elif "undo does nothing in doubt" in BOOKS.bugs and ctx.outcome == "unknown":
        return
    elif "undo is not idempotent" in BOOKS.bugs:
        BOOKS.taken[ctx.action_key] = BOOKS.taken.get(ctx.action_key, 0) - 7
    else:
        BOOKS.taken.pop(ctx.action_key, None)
    BOOKS.undone.add(ctx.action_key)


@action("bank.look", retry=TWO)
def look(ctx: StepContext) -> None:
    """Reads only."""
    if ctx.context.get("blocked"):
        raise Rejected("the account is blocked", code="blocked")


@action("bank.give", retry=TWO)
async def give(ctx: StepContext) -> None:
    BOOKS.given[_fenced(ctx)] = ctx.input["amount"]


@compensation("bank.take_back", retry=TWO)
async def take_back(ctx: StepContext) -> None:
    BOOKS.undone.add(ctx.action_key)
    if "loses money" not in BOOKS.bugs:
        BOOKS.given.pop(ctx.action_key, None)


class Transfer(SagaDefinition):
    """Out of one account, into another."""

    name = "bank_transfer"
    steps = [
        parallel(
            step("take", action="bank.take", compensation="bank.put_back", input={"amount": 7}),
            step("look", action="bank.look", no_compensation="reads only"),
        ),
        step("give", action="bank.give", compensation="bank.take_back", input=lambda context, outputs: outputs["take"]),
    ]


def balanced(run: SagaRun) -> None:
    """What was taken was given, once; or nothing was."""
    expected = 7 if run.state == "completed" else 0
    assert sum(BOOKS.taken.values()) == expected, f"taken: {BOOKS.taken}"
    assert sum(BOOKS.given.values()) == expected, f"given: {BOOKS.given}"
