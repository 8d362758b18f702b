"""Every message twice: hints and results submitted again change nothing, at once and when all is over."""

from __future__ import annotations

from ..core.triggers import AttemptTrigger, ChildEnded, Look, ParentUndoes, WorkerLost
from ..store.base import Result, Submission
from .rig import Rig

_MESSAGES = (Look, AttemptTrigger, WorkerLost, ChildEnded, ParentUndoes)


class Repeater:
    """Listens to a rig and says everything once more. What should not have changed is in `problems`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._sent: list[Submission] = []
        #: A list, because a listener that raises inside an attempt would be taken for a failure of the attempt.
        self.problems: list[str] = []
        rig.heard = self._hear

    def _hear(self, result: Result) -> None:
        sent = result.submission
        if isinstance(sent.trigger, _MESSAGES):
            self._sent.append(sent)
            # Its answer was lost: the worker submits the very same again.
            again = Submission(sent.saga_id, sent.trigger, sent.payload, sent.book, again=True)
            self._submit(again, offering=True)
            self._submit(_twin(sent))

    def all_again(self) -> None:
        """Every message of the whole run comes once more, late and in the old order."""
        for sent in self._sent:
            self._submit(_twin(sent))

    def _submit(self, submission: Submission, *, offering: bool = False) -> None:
        rig, saga_id = self._rig, submission.saga_id
        before, told = rig.store.sagas[saga_id], rig.store.history[saga_id]
        lines = len(told)
        rig.store.apply([submission], rig.offer(submission.trigger) if offering else None)
        after = rig.store.sagas[saga_id]
        if after.saga.revision != before.saga.revision or after.steps != before.steps:
            kind = submission.trigger.kind
            self.problems.append(f"the message {kind!r}, submitted twice, changed the saga the second time")
        else:
            del told[lines:]  # a note about every one of them would hide what really happened


def _twin(sent: Submission) -> Submission:
    """The same message from the broker, or from a process that does not know that it was heard."""
    return Submission(sent.saga_id, sent.trigger, sent.payload)
