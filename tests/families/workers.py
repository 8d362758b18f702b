"""What two workers do with what they have claimed, and what may befall them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.children import child_id
from sagas.core.rows import StepRow
from sagas.core.states import StepStatus
from sagas.engine.children import errands
from sagas.store.base import Result, Submission, Verdict
from sagas.store.memory import MemoryStore

from .parts import Action, Thread
from .stage import Stage, effect_key


class _NotRecorded(Exception):
    """The claim was lost: the child is not inserted."""


class Workers(Stage):
    """See the module."""

    # -- an attempt ---------------------------------------------------------------------------------------------

    def running(self, thread: Thread) -> list[Action]:
        """What it may do next; what is there more than once is more likely."""
        spec = self.spec(thread)
        if thread.timed_out:
            late = [partial(self._effect, thread)] if thread.called and not self.atomic(thread) else []
            return [*late, partial(self.end, thread, t.ThreadEnded)]
        if spec.join:
            return [partial(self.end, thread, t.Completed)]
        if not thread.called:
            return self._beginning(thread)
        if self.atomic(thread):
            no = partial(self.end, thread, t.Rejected, code="no")
            return [*[partial(self.end, thread, t.Completed)] * 4, no]
        found: list[Action] = [partial(self._effect, thread)] * 3 + self._asking(thread)
        if thread.effect:
            found += [partial(self.end, thread, t.Completed)] * 8
        elif thread.claim.undo or self.name(thread) not in self.participant.done:
            found.append(partial(self.end, thread, t.Rejected, code="no"))
        return found

    def atomic(self, thread: Thread) -> bool:
        """Whether its effect is there if, and only if, its completion is recorded."""
        spec = self.spec(thread)
        return spec.atomic and not spec.saga and not thread.claim.undo

    def _beginning(self, thread: Thread) -> list[Action]:
        """The condition is looked at, the child is started, the handler is called; or the worker is to stop."""
        spec, back = self.spec(thread), partial(self.end, thread, t.HandedBack)
        if spec.checks and not (thread.claim.opened or thread.claim.undo):
            return [*self._checking(thread), back]
        go = partial(self._start_child if spec.saga else self._call, thread)
        return [go, go, go, back]

    def _call(self, thread: Thread) -> None:
        thread.called = True

    def _checking(self, thread: Thread) -> list[Action]:
        """The last one is: it holds."""
        spec, over = self.spec(thread), partial(self._pass_over, thread)
        if spec.for_each:
            return [over, *(partial(self.end, thread, t.OpenedOut, count=number) for number in (0, 1, 2))]
        if spec.gate:
            opens = self.store.now() + timedelta(seconds=self.plan.minute / 2) if spec.until else None
            return [over, partial(self.end, thread, t.Checked, opens_at=opens)]
        return [over, *[partial(self._check, thread)] * 2]

    def _pass_over(self, thread: Thread) -> None:
        key = self.name(thread)
        if self.end(thread, t.PassedOver).verdict is Verdict.APPLIED:
            self.over.add(key)

    def _check(self, thread: Thread) -> None:
        """It holds: recorded, and the same attempt goes on, or is not to."""
        claim = thread.claim
        holds = t.Checked(claim.position, thread.worker, claim.token, claim.undo)
        if self.apply([Submission(thread.saga, holds)])[0].verdict is not Verdict.APPLIED:
            self.end(thread, t.HandedBack)
        elif self.spec(thread).saga:
            self._start_child(thread)
        else:
            thread.called = True

    def _effect(self, thread: Thread) -> None:
        key = self.name(thread)
        if thread.claim.undo:
            self.participant.undo(key)
        elif not self.participant.do(key):
            self.end(thread, t.Rejected, code="fenced")
            return
        thread.effect = True

    def end(self, thread: Thread, kind: Any, **details: Any) -> Result:
        """The attempt ends, and its worker goes on."""
        self.threads.remove(thread)
        claim, key = thread.claim, self.name(thread)
        done = kind is t.Completed and self.atomic(thread)
        if thread.timed_out:
            kind, details = t.ThreadEnded, {}
        trigger = kind(claim.position, thread.worker, claim.token, claim.undo, **details)
        worker = None if kind in (t.HandedBack, t.Unrecorded) else thread.worker
        result = self.apply([Submission(thread.saga, trigger, sender=claim.round)], worker)[0]
        if (
            done
            and result.verdict is Verdict.APPLIED
            and not self.rows(thread.saga)[0].graph.steps[claim.position].join
        ):
            assert self.participant.do(key), "I9: an atomic step has done what was undone before"
        return result

    def run_out(self, thread: Thread) -> None:
        """To its end, without faults."""
        while thread in self.threads:
            spec = self.spec(thread)
            if thread.timed_out or spec.join:
                self.end(thread, t.Completed)
            elif not thread.called and spec.checks and not (thread.claim.opened or thread.claim.undo):
                self._checking(thread)[-1]()
            elif spec.saga:
                self._start_child(thread)
            elif thread.effect or self.atomic(thread):
                self.end(thread, t.Completed)
            else:
                thread.called = True
                self._effect(thread)

    # -- what others do for it ----------------------------------------------------------------------------------

    def _asking(self, thread: Thread) -> list[Action]:
        spec, claim = self.spec(thread), thread.claim
        found: list[Action] = []
        if not thread.refused:
            found = [
                partial(self._ask_service, thread, willing=True),
                partial(self._ask_service, thread, willing=False),
            ]
        in_doubt = not claim.executed if claim.undo else claim.doubt
        if spec.probe and in_doubt and not thread.effect:
            found += [partial(self._probe, thread)] * 2
        return found

    def _ask_service(self, thread: Thread, *, willing: bool) -> None:
        """The service does it, or refuses; its answer comes some time, perhaps before the handler has returned. (One
        that has been asked before says what it has said.)"""
        key, claim = self.name(thread), thread.claim
        known = key in (self.participant.undone if claim.undo else self.participant.done)
        ok = willing or known
        if ok and claim.undo:
            self.participant.undo(key)
        elif ok:
            ok = self.participant.do(key)
        self.write(thread.saga, claim.position, claim.round, claim.attempt, undo=claim.undo, ok=ok)
        if claim.token % 2 and not (thread.effect and not ok):
            wait = timedelta(seconds=self.plan.minute) if claim.token % 3 == 0 else None
            self.end(thread, t.Waits, timeout=wait)
        else:
            thread.effect, thread.refused = thread.effect or ok, not ok

    def write(self, saga: UUID, position: int, number: int, attempt: int, *, undo: bool, ok: bool) -> None:
        """The service's answer is on its way."""
        said = t.Answer(position, number, attempt, undo, ok, f"{undo}:{number}:{ok}")
        self.letters.append(Submission(saga, said))

    def answer_again(self, saga: UUID, step: StepRow) -> None:
        """The service does it, or has; and says so (once more)."""
        if any(post.saga_id == saga and post.trigger.position == step.position for post in self.letters):
            return
        undo = step.status is StepStatus.COMPENSATING
        key = effect_key(saga, self.rows(saga)[0].graph.steps[step.position].name, step.round)
        ok = True
        if undo:
            self.participant.undo(key)
        else:
            ok = self.participant.do(key)
        attempt = step.undo_attempt if undo else step.attempt
        self.write(saga, step.position, step.round, attempt, undo=undo, ok=ok)

    def _probe(self, thread: Thread) -> None:
        """Did it happen? If not, it never will: that is what the participant's "no" means."""
        key = self.name(thread)
        done = key in self.participant.done and key not in self.participant.undone
        if thread.claim.undo and not done:
            self.participant.undo(key)
            self.end(thread, t.Absent)
        elif not thread.claim.undo and done:
            self.end(thread, t.Completed)

    # -- children -----------------------------------------------------------------------------------------------

    def _start_child(self, thread: Thread) -> None:
        """In the transaction that records it; what must not start any more goes back."""
        if thread.lapsed or thread.timed_out:
            self.end(thread, t.HandedBack)
            return
        self.threads.remove(thread)
        claim, parent = thread.claim, self.rows(thread.saga)[0]
        name, graph = parent.graph.steps[claim.position].name, self.plan.kids[parent.depth]
        new = self.new(child_id(parent.id, name, claim.round), graph, rollback=self.plan.kid_rolls_back)
        new.parent, new.parent_step, new.parent_round, new.depth = parent.id, name, claim.round, parent.depth + 1
        with suppress(_NotRecorded), self.store.atomic():
            fresh = self.insert(new)
            trigger = t.ChildStarted(claim.position, thread.worker, claim.token, look=not fresh)
            if self._record_child(Submission(parent.id, trigger), new.id, fresh=fresh):
                return
        self.apply([Submission(parent.id, t.HandedBack(claim.position, thread.worker, claim.token))])

    def _record_child(self, submission: Submission, key: UUID, *, fresh: bool) -> bool:
        result = self.store.apply([submission], wait=True)[0]
        if result.verdict is Verdict.APPLIED:
            self.ids += [key] if fresh else []
            self.todo += errands(result)
            self.log.append(f"{submission.saga_id.int % 1000} starts child {key.int % 1000}")
            return True
        if isinstance(self.store, MemoryStore) and fresh:  # it knows no transactions
            del self.store.sagas[key]
            self.store._keys.pop(("town", "", key.hex))
        raise _NotRecorded

    # -- faults -------------------------------------------------------------------------------------------------

    def failing(self, thread: Thread) -> list[Action]:
        """What is atomic (to start a child, too) leaves no doubt; what has begun is not handed back."""
        if thread.timed_out:
            return [partial(self._report_late, thread)] if thread.effect else []
        end, spec = partial(partial, self.end, thread), self.spec(thread)
        if spec.join:
            return [end(t.HandedBack)]
        if not thread.called:
            return [end(t.NoCode, message="gone"), end(t.NoEffect, code="input"), end(t.NoEffect, final=True)]
        if self.atomic(thread):
            return [end(t.NoEffect, code="exception"), partial(self._time_out, thread)]
        raised = [end(t.InDoubt, code="exception"), end(t.InDoubt, code="payload", final=True)]
        return [*raised, end(t.Unrecorded, code="unrecorded"), *[partial(self._time_out, thread)] * 2]

    def _time_out(self, thread: Thread) -> None:
        claim = thread.claim
        thread.timed_out = True
        kind = t.NoEffect if self.atomic(thread) else t.InDoubt
        late = kind(claim.position, thread.worker, claim.token, claim.undo, "timeout", thread_alive=True)
        self.apply([Submission(thread.saga, late)])

    def _report_late(self, thread: Thread) -> None:
        """A result that does not count any more."""
        claim = thread.claim
        self.apply([Submission(thread.saga, t.Completed(claim.position, thread.worker, claim.token, claim.undo))])

    def lose(self, worker: UUID, *, killed: bool) -> None:
        """Taken for dead: killed, or frozen and thawed. (The same name stands for the process that comes next.)"""
        if killed:
            self.threads = [thread for thread in self.threads if thread.worker != worker]
        for thread in self.threads:
            thread.lapsed = thread.lapsed or thread.worker == worker
        self.past = [(one, who) for one, who in self.past if who != worker]
        self.frozen.discard(worker)
        self.apply([Submission(key, t.WorkerLost(worker)) for key in self.ids])

    def repeats(self) -> list[Action]:
        """What was submitted last; but for what a claim was made with that somebody has given back since: who gives it
        back has had the answer."""
        living = {(thread.worker, thread.claim.token) for thread in self.threads}
        open_now = [(one, who) for one, who in self.past if all((who, no) in living for no in one.book.tokens.values())]
        return [partial(self._again, *one) for one in open_now[-3:]]

    def _again(self, submission: Submission, worker: UUID) -> None:
        """A submission whose answer was lost, made again: recorded once."""
        before = self.rows(submission.saga_id)
        submission.again = True
        self.apply([submission], worker)
        trigger = submission.trigger
        # Of a round before, nobody knows any more that it counted: then a person may be asked.
        if isinstance(trigger, t.AttemptTrigger) and before[1][trigger.position].round == submission.sender:
            assert self.rows(submission.saga_id)[0].revision == before[0].revision, "once: a result counted twice"
