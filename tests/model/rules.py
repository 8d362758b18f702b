"""The rules of the claim protocol as the model has them: what is ready, what a claim, a result and a take-over do.

`Rules` switches each of them off, so that the schedule which it prevents is found. `ModelEngine` is one of two engines
that `world.moves` can drive; the other one (`real_engine`) asks the real `decide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .state import CLAIMED, FRESH, NONE, RESOLVED, Book, ModelStep, State, Thread, claim_of, with_step


@dataclass(frozen=True)
class Rules:
    """The protocol as decided; each field is a rule that can be taken away."""

    #: Doubt stays: a later rejection or cancelling can not turn an attempt in doubt into "no effect".
    sticky: bool = True
    #: A retry and an undo wait for a timed-out thread that still runs in a live worker.
    zdrain: bool = True
    #: A process whose lease lapsed starts nothing that it claimed before: it hands it back.
    guard: bool = True
    #: Ambiguous commit: the same triggers again, under the lock (without: "the revision moved, so it was applied").
    resubmit: bool = True
    #: A worker compares the claims in its name with what it runs: "adopt" runs the others, "return" hands them back.
    audit: str = "adopt"
    #: A trigger submitted again finds the claim that was made with it: "your claim stands".
    standing: bool = False
    #: The sweep ends claims of live workers whose thread is gone (needs a timeout on every step).
    deadline: bool = False
    #: The operator may retry a debt.
    retry: bool = False
    #: The participant remembers an undo that came first and refuses the late do.
    fence: bool = True
    #: A process may freeze while a handler runs (otherwise only before and after).
    midway: bool = True
    #: The participant validates before it dedupes: it may reject a key that it has done already.
    loose: bool = False
    #: An engine broken on purpose, to show that the checks can fail.
    mutant: str = ""


#: The wording of the protocol before it was attacked.
LITERAL = Rules(sticky=False, zdrain=False, guard=False, resubmit=False, audit="", deadline=True)
AMENDED = Rules()
#: As this engine does it: unrun claims go back, and a trigger submitted again finds its claim.
AS_BUILT = Rules(audit="return", standing=True, retry=True)


class Engine(Protocol):
    """What decides. `state.book` is its own: steps with status, token and owner, the saga's letter, attention."""

    #: For each step those that it waits for.
    needs: Sequence[Sequence[int]]

    def ready(self, state: State) -> tuple[int, str] | None:
        """The step and phase that may be claimed now."""

    def take(self, state: State, worker: int, token: int = FRESH) -> tuple[State, Thread]:
        """Claim what is ready."""

    def submit(self, state: State, worker: int, thread: Thread, outcome: str) -> tuple[State, bool, Thread | tuple[()]]:
        """Record an outcome (ok, no, doubt, unstarted); whether it counted; what the worker claimed with it."""

    def thread_ended(self, state: State, worker: int, thread: Thread) -> State:
        """The thread of a timed-out attempt is gone."""

    def names(self, state: State, worker: int) -> bool:
        """Whether the rows name the worker, so that its death matters."""

    def start(self) -> Book:
        """A saga that was just started."""

    def lose(self, state: State, worker: int) -> State:
        """Take over the claims of a worker."""

    def compensate(self, state: State) -> State | None:
        """An operator rolls the saga back; None when that is not possible."""

    def skip(self, state: State) -> State | None:
        """An operator skips the first step; None when that is not possible."""

    def retry(self, state: State) -> State | None:
        """An operator retries what is stuck; None when nothing is."""


class ModelEngine:
    """The protocol in a page."""

    needs: Sequence[Sequence[int]] = ((), (0,))

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def start(self) -> Book:
        """A saga that was just started."""
        return Book("S", 0, (ModelStep(), ModelStep()))

    # -- what is ready ------------------------------------------------------------------------------------------

    def ready(self, state: State) -> tuple[int, str] | None:
        """One at a time: the steps are in a line."""
        saga, mutant = state.book.saga, self.rules.mutant
        found = None
        if saga == "S" or (saga == "R" and mutant == "takeover_reruns_in_rollback"):
            found = self._forward(state)
        if found is None and saga == "R":
            found = self._backward(state)
        return found if found is None or not self._waits_for_thread(state, found[0]) else None

    def _forward(self, state: State) -> tuple[int, str] | None:
        for number, step in enumerate(state.book.steps):
            if step.status == "p":
                return number, "d"
            if step.status not in "ck":
                return None
        return None

    def _backward(self, state: State) -> tuple[int, str] | None:
        order = (0, 1) if self.rules.mutant == "undo_in_forward_order" else (1, 0)
        for number in order:
            status = state.book.steps[number].status
            if status in "cu":
                return number, "u"
            if status not in RESOLVED and not (self.rules.mutant == "no_drain" and status == "r"):
                return None
        return None

    def _waits_for_thread(self, state: State, number: int) -> bool:
        return self.rules.zdrain and any(
            worker.zombie and worker.zombie.step == number and not worker.judged_dead for worker in state.workers
        )

    # -- claims and results -------------------------------------------------------------------------------------

    def take(self, state: State, worker: int, token: int = FRESH) -> tuple[State, Thread]:
        """The commit that claims."""
        found = self.ready(state)
        assert found is not None
        number, phase = found
        state = with_step(state, number, status="r" if phase == "d" else "g", token=token, owner=worker)
        return state, Thread(number, phase, token, CLAIMED)

    def submit(self, state: State, worker: int, thread: Thread, outcome: str) -> tuple[State, bool, Thread | tuple[()]]:
        """The outcome, and the next claim in the same commit."""
        state, counted = self._record(state, thread, outcome)
        if not counted:
            stands = claim_of(state, worker) if self.rules.standing else None
            return state, False, stands or NONE
        if outcome in ("doubt", "unstarted") or self.ready(state) is None:
            return state, True, NONE
        state, claimed = self.take(state, worker)
        return state, True, claimed

    def _record(self, state: State, thread: Thread, outcome: str) -> tuple[State, bool]:
        if not self._is_current(state, thread):
            return state, False
        if thread.phase == "u":
            return self._record_undo(state, thread.step, outcome), True
        return self._record_do(state, thread.step, outcome), True

    def _record_do(self, state: State, number: int, outcome: str) -> State:
        step = state.book.steps[number]
        if outcome == "ok":
            return self._completed(with_step(state, number, status="c", token=0, owner=-1, doubt=0), number)
        if outcome == "unstarted":
            return self._reopen(state, number, doubt=step.doubt)
        if outcome == "no" or self.rules.mutant == "timeout_is_no":
            status = "u" if self.rules.sticky and step.doubt else "f"
            return self._failed(with_step(state, number, status=status, token=0, owner=-1))
        if state.book.saga == "S" and step.tries == 0:
            return with_step(state, number, status="p", token=0, owner=-1, doubt=1, tries=1)
        return self._failed(with_step(state, number, status="u", token=0, owner=-1, doubt=1))

    def _is_current(self, state: State, thread: Thread) -> bool:
        step = state.book.steps[thread.step]
        if self.rules.mutant == "no_fencing":
            return bool(step.status == ("r" if thread.phase == "d" else "g"))
        return bool(thread.token and step.token == thread.token and state.book.saga not in "CD")

    def _record_undo(self, state: State, number: int, outcome: str) -> State:
        status = {"ok": "G", "no": "B"}.get(outcome, "u")
        state = with_step(state, number, status=status, token=0, owner=-1)
        if outcome == "no":
            state = state._replace(book=state.book._replace(attention=1))
        return _settled(state)

    def _completed(self, state: State, number: int) -> State:
        if state.book.saga == "S" and number == len(state.book.steps) - 1:
            return state._replace(book=state.book._replace(saga="C"))
        return _settled(state)

    def _reopen(self, state: State, number: int, *, doubt: int) -> State:
        if state.book.saga == "S":
            return with_step(state, number, status="p", token=0, owner=-1, doubt=doubt)
        return _settled(with_step(state, number, status="u" if doubt else "x", token=0, owner=-1, doubt=doubt))

    def _failed(self, state: State) -> State:
        return self._roll_back(state) if state.book.saga == "S" else _settled(state)

    def thread_ended(self, state: State, worker: int, thread: Thread) -> State:
        """The model looks at the threads themselves."""
        return state

    # -- take-over and operators --------------------------------------------------------------------------------

    def names(self, state: State, worker: int) -> bool:
        """In a claim."""
        return claim_of(state, worker) is not None

    def lose(self, state: State, worker: int) -> State:
        """Forward: again, in doubt. In a rollback: an action is unknown, an undo is due again."""
        again = state.book.saga == "S" or self.rules.mutant == "takeover_reruns_in_rollback"
        for number, step in enumerate(state.book.steps):
            if step.owner != worker or not step.token:
                continue
            if step.status == "g":
                state = with_step(state, number, status="u", token=0, owner=-1)
            else:
                state = with_step(state, number, status="p" if again else "u", token=0, owner=-1, doubt=1)
        return state

    def compensate(self, state: State) -> State | None:
        """From started only."""
        return self._roll_back(state) if state.book.saga == "S" else None

    def _roll_back(self, state: State) -> State:
        """Pending steps are cancelled, but for those in doubt."""
        state = state._replace(book=state.book._replace(saga="R"))
        for number, step in enumerate(state.book.steps):
            if step.status in "pk":
                unknown = self.rules.sticky and step.doubt
                status = "u" if unknown else {"p": "x", "k": "k"}[step.status]
                state = with_step(state, number, status=status, token=0, owner=-1)
        return _settled(state)

    def skip(self, state: State) -> State | None:
        """Pass the first step over."""
        if state.book.saga != "S" or state.book.steps[0].status != "p":
            return None
        return with_step(state, 0, status="k", token=0, owner=-1)

    def retry(self, state: State) -> State | None:
        """A debt is tried again."""
        debts = [number for number, step in enumerate(state.book.steps) if step.status == "B"]
        if not self.rules.retry or not debts:
            return None
        for number in debts:
            state = with_step(state, number, status="u")
        return state._replace(book=state.book._replace(attention=0))


def _settled(state: State) -> State:
    if state.book.saga == "R" and all(step.status in RESOLVED for step in state.book.steps):
        return state._replace(book=state.book._replace(saga="D"))
    return state


__all__ = ["AMENDED", "AS_BUILT", "LITERAL", "Engine", "ModelEngine", "Rules"]
