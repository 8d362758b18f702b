"""Handlers and definitions that a test makes for itself; they are forgotten after it."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sagas import SagaDefinition, StepContext, action, compensation, step
from sagas.core import triggers as t
from sagas.core.claims import Claim, Offer
from sagas.core.retry import RetryPolicy
from sagas.definitions.ids import new_id
from sagas.definitions.registry import registry
from sagas.definitions.steps import StepDefinition
from sagas.models import Saga
from sagas.store import get_store
from sagas.store.base import Result, Submission

#: Attempts come one after the other at once.
AT_ONCE = RetryPolicy(max_attempts=3, base=0)


def nothing(ctx: StepContext) -> None:
    """A handler without an effect."""


class Kit:
    """Makes names that nobody else has."""

    def __init__(self) -> None:
        self._own = f"kit{secrets.token_hex(3)}"

    def name(self, word: str) -> str:
        return f"{self._own}.{word}"

    def action(self, word: str, function: Callable[[StepContext], Any] = nothing, **options: Any) -> str:
        """Register a function as an action; the name."""
        action(self.name(word), **{"retry": AT_ONCE, **options})(_fresh(function))
        return self.name(word)

    def compensation(self, word: str, function: Callable[[StepContext], Any] = nothing, **options: Any) -> str:
        compensation(self.name(word), **{"retry": AT_ONCE, **options})(_fresh(function))
        return self.name(word)

    def step(
        self,
        word: str,
        do: Callable[[StepContext], Any] = nothing,
        undo: Callable[[StepContext], Any] | None = nothing,
        *,
        handler: dict[str, Any] | None = None,
        **options: Any,
    ) -> StepDefinition:
        """A step with handlers of its own; `undo=None`: it has no compensation."""
        given = {"compensation": self.compensation(f"un{word}", undo)} if undo else {"no_compensation": "reads only"}
        return step(word, action=self.action(word, do, **(handler or {})), **given, **options)

    def define(self, *steps: Any, word: str = "saga", **attributes: Any) -> type[SagaDefinition]:
        """A registered definition."""
        body = {"name": self.name(word), "steps": list(steps), **attributes}
        return type(f"Kit{secrets.token_hex(4)}", (SagaDefinition,), body)

    def pair(self, **attributes: Any) -> type[SagaDefinition]:
        """Two steps that can be undone."""
        return self.define(self.step("first"), self.step("second"), **attributes)


def _fresh(function: Callable[[StepContext], Any]) -> Callable[[StepContext], Any]:
    """One function may serve under several names."""
    return function


@contextmanager
def forgetting() -> Iterator[None]:
    """What is registered inside is forgotten afterwards."""
    handlers, definitions = dict(registry.handlers), dict(registry.definitions)
    try:
        yield
    finally:
        registry.handlers.clear()
        registry.handlers.update(handlers)
        registry.definitions.clear()
        registry.definitions.update(definitions)
        registry.clashes.clear()
        registry.edition += 1


class Hand:
    """Does by hand what a worker does: claims, and says what came of it. Nothing is called."""

    def __init__(self, alias: str = "default") -> None:
        self.worker = new_id()
        self._token = 0
        self.alias = alias

    def _next_token(self) -> int:
        self._token += 1
        return self._token

    def offer(self, slots: int = 100) -> Offer:
        return Offer(self.worker, frozenset(registry.handlers), self._next_token, None, slots, slots, slots)

    def claim(self, saga: Saga | UUID) -> Claim:
        """Claim the saga's one ready step."""
        key = saga.pk if isinstance(saga, Saga) else saga
        (claim,) = get_store().apply([Submission(key, t.Look())], self.offer())[0].claims
        return claim

    def report(self, saga: Saga, claim: Claim, kind: type[t.AttemptTrigger], **details: Any) -> Result:
        trigger: Any = kind(claim.position, self.worker, claim.token, claim.undo, **details)
        return get_store().apply([Submission(saga.pk, trigger)])[0]

    def run(self, saga: Saga, *outcomes: type[t.AttemptTrigger], **details: Any) -> Saga:
        """One attempt after the other, each with this outcome; the saga as it is then."""
        for kind in outcomes:
            self.report(saga, self.claim(saga), kind, **details)
        found: Saga = Saga.objects.using(self.alias).get(pk=saga.pk)
        return found
