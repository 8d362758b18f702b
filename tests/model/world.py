"""The world around the engine: two workers with their threads, idempotent participants, the broker's hints, an operator
and the faults. `moves` lists everything that may happen next; `wrong` says what must never be.

It knows no rule of the engine: those are asked of an `Engine`. The few rules of the protocol that bind the worker's
process (guard, resubmit, audit) are in `Rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .rules import Engine, Rules
from .state import (
    BEGUN,
    CLAIMED,
    DONE,
    ENDED,
    NONE,
    REFUSED,
    RESOLVED,
    STALE,
    WORKERS,
    Account,
    OpenCommit,
    State,
    Thread,
    Violation,
    WorkerState,
    claim_of,
    forgotten,
    moved,
    spend,
    with_worker,
)


class Move(NamedTuple):
    """Something that may happen."""

    label: str
    state: State
    #: It is a fault or a person's wish: nothing may depend on its happening.
    fault: bool = False


class World:
    """What may happen around one engine."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self.engine = engine
        self.rules = rules

    def moves(self, state: State) -> list[Move]:
        """Everything that may happen next. Raises `Violation` when a claim is made that must not be."""
        found: list[Move] = []
        for number in WORKERS:
            if state.workers[number].mode == "A":
                found += self._look(state, number)
                found += self._remember(state, number)
                found += self._answer(state, number)
                found += self._run(state, number)
                found += self._break(state, number)
            found += self._judge(state, number)
        found += _broker(state)
        found += self._operator(state)
        return found

    # -- claiming -----------------------------------------------------------------------------------------------

    def _look(self, state: State, number: int) -> Iterator[Move]:
        worker = state.workers[number]
        if worker.slot or worker.open_commit or forgotten(state, number):
            return
        ready = self.engine.ready(state)
        fewer = state._replace(hints=state.hints - 1)
        if ready is None:
            if state.hints:
                yield Move(f"w{number} hint acked, nothing to claim", fewer)
            return
        yield from self._claim(state, state, number, "sweep")
        if state.hints:
            yield from self._claim(state, fewer, number, "hint")
        if state.hints and state.budget.crash:
            yield from self._claim(state, state, number, "hint, ack lost")

    def _claim(self, state: State, base: State, number: int, way: str) -> Iterator[Move]:
        claimed, thread = self._take(base, number)
        what = f"{thread.phase}{thread.step}"
        yield Move(f"w{number} claims {what} by {way}", with_worker(moved(claimed, number), number, slot=thread))
        if state.budget.ambiguous and way != "hint, ack lost":
            commit = OpenCommit("claim", thread.step, thread.phase, thread.token, "", True)
            applied = with_worker(moved(claimed, number), number, open_commit=commit)
            lost = with_worker(state, number, open_commit=commit._replace(moved=False))
            yield Move(f"ambiguous w{number} claim {what} APPLIED", spend(applied, "ambiguous"), True)
            yield Move(f"ambiguous w{number} claim {what} LOST", spend(lost, "ambiguous"), True)

    def _take(self, state: State, number: int) -> tuple[State, Thread]:
        state, thread = self.engine.take(state, number)
        self._check_claim(state, thread)
        return state, thread

    def _check_claim(self, state: State, thread: Thread) -> None:
        steps, needs = state.book.steps, self.engine.needs
        if thread.phase == "d":
            if state.book.saga == "R":
                raise Violation("I6 forward claim after the rollback began")
            if any(steps[needed].status not in "ck" for needed in needs[thread.step]):
                raise Violation("I5 forward order")
            return
        later = [number for number, waits in enumerate(needs) if thread.step in waits]
        if any(steps[number].status not in RESOLVED for number in later):
            raise Violation("I7 undo before a later step is resolved")

    def _submit(
        self, state: State, number: int, thread: Thread, outcome: str
    ) -> tuple[State, bool, Thread | tuple[()]]:
        state, counted, claimed = self.engine.submit(state, number, thread, outcome)
        if claimed and counted:
            self._check_claim(state, claimed)
        return (moved(state, number) if counted else state), counted, claimed

    # -- claims that nobody remembers, commits without an answer ------------------------------------------------

    def _remember(self, state: State, number: int) -> Iterator[Move]:
        thread = forgotten(state, number)
        if thread is None:
            return
        what = f"{thread.phase}{thread.step}"
        if self.rules.audit == "adopt":
            yield Move(f"w{number} audit adopts {what}", with_worker(state, number, slot=thread))
        if self.rules.audit == "return":
            yield Move(f"w{number} audit hands back {what}", self._submit(state, number, thread, "unstarted")[0])
        if self.rules.deadline:
            yield Move(
                f"sweep: deadline of orphan claim {what}", moved(self.engine.submit(state, number, thread, "doubt")[0])
            )

    def _answer(self, state: State, number: int) -> Iterator[Move]:
        commit = state.workers[number].open_commit
        if not commit:
            return
        if commit.kind == "claim":
            yield self._claim_again(state, number, commit)
        elif not self.rules.resubmit and commit.moved:
            yield self._deem_applied(state, number, commit)
        else:
            thread = Thread(commit.step, commit.phase, commit.token, DONE)
            after, counted, claimed = self._submit(state, number, thread, commit.outcome)
            word = "applied" if counted else "ignored"
            label = f"w{number} submits {commit.phase}{commit.step}={commit.outcome} again ({word})"
            yield Move(label, with_worker(after, number, open_commit=NONE, slot=claimed))

    def _claim_again(self, state: State, number: int, commit: OpenCommit) -> Move:
        if commit.token and state.book.steps[commit.step].token == commit.token:
            thread = Thread(commit.step, commit.phase, commit.token, CLAIMED)
            return Move(
                f"w{number} asks again: its claim stands", with_worker(state, number, open_commit=NONE, slot=thread)
            )
        return Move(f"w{number} asks again: the claim is not its own", with_worker(state, number, open_commit=NONE))

    def _deem_applied(self, state: State, number: int, commit: OpenCommit) -> Move:
        """The literal wording: the revision moved, so it was this commit that moved it."""
        claimed = claim_of(state, number, but=(commit.step, commit.token)) or NONE
        label = f"w{number} re-reads {commit.phase}{commit.step}: revision moved, deemed applied"
        return Move(label, with_worker(state, number, open_commit=NONE, slot=claimed))

    # -- threads ------------------------------------------------------------------------------------------------

    def _run(self, state: State, number: int) -> Iterator[Move]:
        worker = state.workers[number]
        for place, thread in (("slot", worker.slot), ("zombie", worker.zombie)):
            if not thread:
                continue
            if thread.stage == CLAIMED:
                yield self._begin(state, number, place, thread)
            elif thread.stage == BEGUN:
                yield from self._effect(state, number, place, thread)
            else:
                yield from self._end(state, number, place, thread)
            if place == "slot" and not worker.zombie:
                yield from self._time_out(state, number, thread)

    def _begin(self, state: State, number: int, place: str, thread: Thread) -> Move:
        what = f"{thread.phase}{thread.step}"
        if self.rules.guard and state.workers[number].lapsed:
            freed = with_worker(state, number, **{place: NONE})
            after = moved(self.engine.submit(freed, number, thread, "unstarted")[0])
            return Move(f"w{number} lease lapsed: hands back unstarted {what}", after)
        return Move(f"w{number} starts {what}", with_worker(state, number, **{place: thread._replace(stage=BEGUN)}))

    def _effect(self, state: State, number: int, place: str, thread: Thread) -> Iterator[Move]:
        what = f"{thread.phase}{thread.step}"
        after, refused = self._participant(state, thread)
        stage = REFUSED if refused else DONE
        label = f"w{number} effect {what}" + (" REFUSED by participant" if refused else "")
        yield Move(label, with_worker(after, number, **{place: thread._replace(stage=stage)}))
        # A participant that dedupes first never rejects what it did.
        if thread.phase == "u" or not state.ledger[thread.step].done or self.rules.loose:
            answer = "rejected" if thread.phase == "d" else "undo failed"
            yield Move(
                f"w{number} {what} answers {answer}",
                with_worker(state, number, **{place: thread._replace(stage=REFUSED)}),
            )

    def _participant(self, state: State, thread: Thread) -> tuple[State, bool]:
        done, undone, net = state.ledger[thread.step]
        if thread.phase == "d" and not done and not (self.rules.fence and undone):
            done, net = 1, net + 1
        elif thread.phase == "u" and not undone:
            undone, net = 1, net - done
        ledger = list(state.ledger)
        ledger[thread.step] = Account(done, undone, net)
        return state._replace(ledger=tuple(ledger)), thread.phase == "d" and not done

    def _end(self, state: State, number: int, place: str, thread: Thread) -> Iterator[Move]:
        what = f"{thread.phase}{thread.step}"
        outcome = "ok" if thread.stage == DONE else "no"
        if place == "zombie" and self.rules.mutant != "no_fencing":
            freed = with_worker(state, number, zombie=NONE)
            after = self.engine.thread_ended(freed, number, thread)
            yield Move(f"w{number} stale thread of {what} ends, result ignored", after)
            return
        after, counted, claimed = self._submit(state, number, thread, outcome)
        label = f"w{number} commits {what}={outcome}" + ("" if counted else " FENCED")
        label += f", claims {claimed.phase}{claimed.step}" if claimed else ""
        yield Move(label, with_worker(after, number, **{place: claimed}))
        if state.budget.ambiguous and counted and place == "slot":
            commit = OpenCommit("result", thread.step, thread.phase, thread.token, outcome, True)
            applied = with_worker(after, number, slot=NONE, open_commit=commit)
            lost = with_worker(state, number, slot=NONE, open_commit=commit._replace(moved=False))
            yield Move(f"ambiguous w{number} {what}={outcome} APPLIED", spend(applied, "ambiguous"), True)
            yield Move(f"ambiguous w{number} {what}={outcome} LOST", spend(lost, "ambiguous"), True)

    def _time_out(self, state: State, number: int, thread: Thread) -> Iterator[Move]:
        """The watchdog ends the attempt; the thread goes on."""
        current = thread.token and state.book.steps[thread.step].token == thread.token
        if thread.stage in (BEGUN, DONE) and state.budget.timeout and current:
            after = self.engine.submit(spend(state, "timeout"), number, thread, "doubt")[0]
            zombie = thread._replace(token=STALE)
            after = moved(with_worker(after, number, slot=NONE, zombie=zombie))
            yield Move(f"timeout of {thread.phase}{thread.step} in w{number} (thread goes on)", after, True)

    # -- faults, judges, the broker, the operator ---------------------------------------------------------------

    def _break(self, state: State, number: int) -> Iterator[Move]:
        worker = state.workers[number]
        if state.budget.crash and (worker.slot or worker.zombie or worker.open_commit):
            gone = with_worker(spend(state, "crash"), number, mode="X", slot=NONE, zombie=NONE, open_commit=NONE)
            yield Move(f"crash w{number}", gone, True)
            if self.rules.midway or not _running(worker):
                yield Move(f"freeze w{number}", with_worker(spend(state, "crash"), number, mode="F"), True)
        if state.budget.suspicion and not worker.judged_dead:
            yield Move(
                f"suspect w{number} (alive)", with_worker(spend(state, "suspicion"), number, judged_dead=1), True
            )
        if worker.judged_dead:
            yield Move(f"w{number} is alive after all", with_worker(state, number, judged_dead=0))

    def _judge(self, state: State, number: int) -> Iterator[Move]:
        worker = state.workers[number]
        if worker.mode == "F":
            thawed = with_worker(state, number, mode="A", judged_dead=0, lapsed=worker.judged_dead)
            yield Move(f"thaw w{number}", thawed, True)
        named = self.engine.names(state, number)
        if worker.mode != "A" and not worker.judged_dead and (named or worker.zombie):
            yield Move(f"w{number} found dead", with_worker(state, number, judged_dead=1))
        if worker.judged_dead and named and any(other.mode == "A" for other in state.workers):
            yield Move(f"claims of w{number} taken over", moved(self.engine.lose(state, number)))

    def _operator(self, state: State) -> Iterator[Move]:
        if not state.budget.operator:
            return
        asked = spend(state, "operator")
        rolled = self.engine.compensate(asked)
        if rolled is not None:
            rolled = moved(rolled)
            yield Move("op compensate", rolled._replace(hints=min(2, rolled.hints + 1)), True)
        skipped = self.engine.skip(asked)
        if skipped is not None:
            yield Move("op skip step0", moved(skipped), True)
        retried = self.engine.retry(asked)
        if retried is not None:
            yield Move("op retry", moved(_new_rounds(state, retried)), True)


def _new_rounds(before: State, after: State) -> State:
    """A step that failed and is opened again has new keys: the participant has seen neither."""
    ledger = [
        Account() if old.status == "f" and new.status == "p" else account
        for old, new, account in zip(before.book.steps, after.book.steps, after.ledger, strict=True)
    ]
    return after._replace(ledger=tuple(ledger))


def _broker(state: State) -> Iterator[Move]:
    if state.hints and state.budget.hint:
        yield Move("lose a hint", spend(state._replace(hints=state.hints - 1), "hint"), True)
        if state.hints < 2:
            yield Move("duplicate a hint", spend(state._replace(hints=state.hints + 1), "hint"), True)


def wrong(state: State) -> list[str]:
    """What must never be, in this state."""
    found = []
    busy = any(worker.slot or worker.zombie or worker.open_commit for worker in state.workers)
    if state.book.saga == "D" and any(step.status not in RESOLVED for step in state.book.steps):
        found.append("I8 compensated with an executed step not undone")
    for number in range(len(state.book.steps)):
        found += _wrong_step(state, number, busy=busy)
    return found


def _wrong_step(state: State, number: int, *, busy: bool) -> Iterator[str]:
    status, account, saga = state.book.steps[number].status, state.ledger[number], state.book.saga
    if status in "fx" and account.net > 0:
        yield f"I10 recorded as {'failed' if status == 'f' else 'cancelled'}, but the effect is there"
    if not busy and saga == "C" and account != (1, 0, 1) and status != "k":
        yield "I9 completed, ledger is not exactly one do"
    if not busy and saga == "D" and account.net != 0:
        yield f"I9 compensated, net effect of a step in state {status} is not zero"
    phases = [thread.phase for worker in state.workers for thread in _running(worker) if thread.step == number]
    if len(phases) > 1:
        both = len(set(phases)) > 1
        yield (
            "OVERLAP do and undo of one step run at once"
            if both
            else "TWICE one handler of one step in two live threads"
        )


def _running(worker: WorkerState) -> list[Thread]:
    """Handlers that run in a process which never froze past its lease."""
    if worker.mode != "A" or worker.lapsed:
        return []
    return [thread for thread in (worker.slot, worker.zombie) if thread and thread.stage == BEGUN]


def has_ended(state: State) -> bool:
    """Whether the saga has ended (failed, and not undone, is an end too) or waits for a person."""
    return state.book.saga in ENDED or state.book.saga == "F" or bool(state.book.attention)
