"""What can be done to a saga: each a call of one engine use case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from ..core.plan import CompensationPlan
    from .saga import Saga
    from .step import Step


class SagaOperations(models.Model):
    """The verbs of `Saga`. All take `reason`, `actor` and `expected_revision` (refused when the saga has moved since),
    return the saga as it is then, and raise `TransitionNotAllowedError` with what to do instead, and `SagaMovedError`.
    """

    class Meta:
        abstract = True

    def next_steps(self: Any) -> list[Step]:
        """The steps whose turn it is: running, waiting for their next attempt, or about to start."""
        from ..engine.operate import next_steps

        return next_steps(self)

    def compensation_plan(self) -> CompensationPlan:
        """What `compensate` would undo, in which order, and what not and why. Changes nothing."""
        from ..engine.operate import compensation_plan

        return compensation_plan(self.pk)

    def compensate(self: Any, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
        """Roll the saga back: from `started` and `failed`; on `compensating` it changes nothing."""
        from ..engine.operate import compensate

        return compensate(self, reason=reason, actor=actor, expected_revision=expected_revision)

    def retry(self: Any, *, reason: str = "", actor: str = "", expected_revision: int | None = None) -> Saga:
        """Run now, with a fresh budget, what is stuck: a step waiting for its next attempt, an unknown step in
        attention, a debt's compensation, the failed step of a `failed` saga."""
        from ..engine.operate import retry

        return retry(self, reason=reason, actor=actor, expected_revision=expected_revision)

    def cancel(self: Any, **who: Any) -> Saga:
        """Roll the saga back because it is not wanted any more: `error_code` says `cancel`."""
        from ..engine.operate import cancel

        return cancel(self, **who)

    def pause(self: Any, **who: Any) -> Saga:
        """Begin nothing more until somebody resumes it; what runs is finished and recorded."""
        from ..engine.operate import pause

        return pause(self, **who)

    def resume(self: Any, **who: Any) -> Saga:
        """Go on after a pause."""
        from ..engine.operate import resume

        return resume(self, **who)

    def run_now(self: Any, **who: Any) -> Saga:
        """Wait no longer for the time of a next attempt or of a timer. Budgets stay as they are."""
        from ..engine.operate import run_now

        return run_now(self, **who)

    def retry_with(self: Any, step: str, input: Mapping[str, Any], **who: Any) -> Saga:  # noqa: A002
        """Run a pending or failed step with another input, under a new idempotency key. Refused while it is in doubt
        whether it happened with the old one."""
        from ..engine.steer import edit

        return edit(self, step, input, **who)

    def skip(self: Any, step: str, *, output: Any = None, **who: Any) -> Saga:
        """Go on without the step, with `output` in place of what it would have returned. What may have happened counts
        as done, and a rollback undoes it. In a rollback: leave the step as it is."""
        from ..engine.steer import skip

        return skip(self, step, output=output, **who)

    def approve(self: Any, step: str, *, user: Any = None, **who: Any) -> Saga:
        """Let the step run, or be undone. With `user` its `approvers` are asked for, and the actor is that user."""
        from ..engine.steer import approve

        return approve(self, step, user=user, **who)

    def deny(self: Any, step: str, *, user: Any = None, **who: Any) -> Saga:
        """Do not let the step run: it fails, and the saga rolls back."""
        from ..engine.steer import deny

        return deny(self, step, user=user, **who)

    def resolve(self: Any, step: str, *, done: bool, output: Any = None, **who: Any) -> Saga:
        """Record what a person found out or did by hand: a debt is settled (`done`: it is undone now), an unknown step
        has happened (`done`, perhaps with its `output`) or surely has not. `reason` is the evidence, and is needed."""
        from ..engine.steer import resolve

        return resolve(self, step, done=done, output=output, **who)

    def roll_back_to(self: Any, step: str, **who: Any) -> Saga:
        """Undo the step and all that depends on it, then go forward again from there, in the steps' next round."""
        from ..engine.steer import roll_back_to

        return roll_back_to(self, step, **who)

    def assign(self: Any, step: str, *, owner: str = "", next_try: datetime | None = None, **who: Any) -> Saga:
        """Say who looks after a step that asks for a person (a debt, an approval, another hold); of a debt also when it
        is tried next: without a time it is parked. `expected_owner`: refused when somebody else looks after it."""
        from ..engine.steer import assign

        return assign(self, step, owner=owner, next_try=next_try, **who)

    def take(self: Any, step: str, *, actor: str, reason: str = "") -> Saga:
        """The actor looks after a step that asks for a person. Raises `TransitionNotAllowedError`, with the name of who
        does, when somebody else does already."""
        from ..engine.steer import take

        return take(self, step, actor=actor, reason=reason)

    def give_back(self: Any, step: str, *, actor: str, reason: str = "") -> Saga:
        """The actor looks after it no longer."""
        from ..engine.steer import give_back

        return give_back(self, step, actor=actor, reason=reason)

    def comment(self: Any, step: str, text: str, *, actor: str, key: str = "") -> bool:
        """Say something about a step: a note in the history that changes nothing. With a `key` the same comment, sent
        twice, is one; returns whether it is new."""
        from ..engine.work import comment

        return comment(self, step, text, actor=actor, key=key)

    def restart(self: Any, *, context: Mapping[str, Any] | None = None, **options: Any) -> Saga:
        """Start a new saga in this one's place, by today's definition: with the same context (or another), owner,
        subject and tags, and with the tag `restart-of:<id>`. Only for one that has ended with nothing left to undo.
        `options`: `reason`, `actor`, `expected_revision`, and those of `Saga.objects.start`. Returns the new saga."""
        from ..engine.restart import restart

        return restart(self, context=context, **options)

    def signal(self: Any, name: str, payload: Any = None, *, reason: str = "", actor: str = "") -> Saga:
        """A named fact that a step of this saga waits for (`wait_for=`), or will. The same twice is harmless, whoever
        tells it; `actor` is who told it first. It takes no `expected_revision`: a fact is one of any revision."""
        from ..engine.answer import signal

        return signal(self, name, payload, reason=reason, actor=actor)
