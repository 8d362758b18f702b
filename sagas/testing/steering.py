"""What comes from outside while a saga runs in memory: answers, signals, and the operators' verbs, as on `Saga`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from ..core import triggers as t
from ..core.payload import object_text, to_text
from ..core.waiting import ALREADY
from ..engine.children import check_parent
from ..exceptions import AnswerRefusedError
from ..store.base import Payload, Result, Submission, Verdict

if TYPE_CHECKING:
    from .rig import Rig

_LIMIT = 1_000_000


class Steering:
    """The verbs of `SagaRun` and of its children. All return the one they were called on: go on with `drain()` or
    `finish()`."""

    rig: Rig
    id: UUID

    def signal(self, name: str, payload: Any = None) -> Self:
        """See `Saga.signal`."""
        text = _text(payload)
        return self._submit(t.Signal(name, f"signal:{text}"), Payload(output=text))

    def complete_step(self, step: str, output: Any = None) -> Self:
        """Whoever has the token of a `Pending` step (or of its compensation) says that the work is done. The same
        answer twice is harmless; one that comes too late or contradicts an earlier one raises `AnswerRefusedError`."""
        return self._answer(step, ok=True, output=_text(output), nothing=output is None)

    def fail_step(self, step: str, message: str = "", *, code: str = "rejected") -> Self:
        """… or that it failed."""
        return self._answer(step, ok=False, code=code, message=message)

    def _answer(
        self, step: str, *, ok: bool, output: str = "", nothing: bool = False, code: str = "", message: str = ""
    ) -> Self:
        at = self._at(step)
        row = self.rig.store.sagas[self.id].steps[at]
        undo = row.undo_attempt > 0
        attempt = row.undo_attempt if undo else row.attempt
        said = json.dumps([undo, row.round, ok, output, code, message])
        kept = ok and not (undo and nothing)
        trigger = t.Answer(at, row.round, attempt, undo, ok, said, code, message)
        result = self._result(trigger, Payload(output=output) if kept else None)
        if result.verdict is Verdict.IGNORED and result.reason != ALREADY:
            raise AnswerRefusedError(result.reason, saga_id=self.id, step=step)
        return self

    def cancel(self, reason: str = "") -> Self:
        """See `Saga.cancel`."""
        return self._submit(t.Cancel("test", reason))

    def compensate(self, reason: str = "") -> Self:
        """See `Saga.compensate`."""
        return self._submit(t.Compensate("test", reason))

    def retry(self, reason: str = "") -> Self:
        """See `Saga.retry`."""
        return self._submit(t.Retry("test", reason))

    def pause(self, reason: str = "") -> Self:
        """See `Saga.pause`."""
        return self._submit(t.Pause("test", reason))

    def resume(self, reason: str = "") -> Self:
        """See `Saga.resume`."""
        return self._submit(t.Resume("test", reason))

    def run_now(self, reason: str = "") -> Self:
        """See `Saga.run_now`."""
        return self._submit(t.RunNow("test", reason))

    def retry_with(self, step: str, input: Mapping[str, Any], reason: str = "") -> Self:  # noqa: A002
        """See `Saga.retry_with`."""
        at = self._at(step)
        text = object_text(input, what=f"input of step {step!r}", limit=_LIMIT)
        return self._submit(t.Edit("test", reason, None, at), Payload(inputs={at: text}))

    def skip(self, step: str, *, output: Any = None, reason: str = "") -> Self:
        """See `Saga.skip`."""
        payload = None if output is None else Payload(output=_text(output))
        return self._submit(t.Skip("test", reason, None, self._at(step)), payload)

    def approve(self, step: str, *, actor: str = "test", reason: str = "") -> Self:
        """See `Saga.approve`."""
        return self._submit(t.Approve(actor, reason, None, self._at(step)))

    def deny(self, step: str, *, actor: str = "test", reason: str = "") -> Self:
        """See `Saga.deny`."""
        return self._submit(t.Deny(actor, reason, None, self._at(step)))

    def resolve(self, step: str, *, done: bool, output: Any = None, reason: str = "looked it up") -> Self:
        """See `Saga.resolve`."""
        payload = Payload(output=_text(output)) if done and output is not None else None
        return self._submit(t.Resolve("test", reason, None, self._at(step), done), payload)

    def roll_back_to(self, step: str, reason: str = "") -> Self:
        """See `Saga.roll_back_to`."""
        return self._submit(t.Rewind("test", reason, None, self._at(step)))

    def assign(self, step: str, *, owner: str = "", next_try: datetime | None = None) -> Self:
        """See `Saga.assign`."""
        return self._submit(t.Assign("test", "", None, self._at(step), owner, next_try))

    def _at(self, step: str) -> int:
        names = self.rig.store.sagas[self.id].saga.graph.names
        if step not in names:
            raise ValueError(f"expected the name of a step of this saga ({', '.join(names)}), got {step!r}")
        return names[step]

    def _submit(self, trigger: t.Trigger, payload: Payload | None = None) -> Self:
        self._result(trigger, payload)
        return self

    def _result(self, trigger: t.Trigger, payload: Payload | None = None) -> Result:
        check_parent(self.rig.store, self.id, trigger)
        result = self.rig.submit(Submission(self.id, trigger, payload))
        if result.error is not None:
            raise result.error
        return result


def _text(value: Any) -> str:
    return to_text({} if value is None else value, what="value", limit=_LIMIT)
