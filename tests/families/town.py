"""Several sagas in one store, with children and their children, one lock, a limited action, two workers, a service that
answers later, people and faults; a generated list of numbers is a schedule.

Unlike `tests/core/simulation` this plays through `Store.apply`, in groups, so that it runs on any store. What parents
and children tell each other is worked out by the real `news`, and may be lost, repeated and late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.children import child_id
from sagas.core.states import TERMINAL, Lock, StepStatus, Wait
from sagas.engine.children import news
from sagas.store.base import Submission, Verdict

from .parts import WORKERS, Action
from .people import People
from .stage import MOST


class Town(People):
    """See the module."""

    # -- what may happen ----------------------------------------------------------------------------------------

    def play(self, schedule: Sequence[int]) -> None:
        """Do what the numbers choose."""
        self.check(self, [Submission(key, t.Look()) for key in self.ids])
        for number in schedule:
            self.act(number)

    def act(self, number: int) -> None:
        """What the number chooses: mostly threads go on and news is carried, or else few sagas would come far."""
        choice, rest = number % 16, number // 16
        running = [self.running(thread) for thread in self.threads if thread.worker not in self.frozen]
        if choice >= 12 and self.faults > 0:
            groups = self._faults()
        elif choice >= 9:
            groups = [self.carrying()]
        elif choice >= 2:
            groups = running
        else:
            groups = [self._time()] if choice else self._looks()
        groups = [group for group in groups if group] or [*running, self.carrying(), self._time(), *self._looks()]
        groups = [group for group in groups if group]
        if groups:
            group = groups[rest % len(groups)]
            group[rest // len(groups) % len(group)]()

    def _time(self) -> list[Action]:
        """It passes; or somebody has set it back."""
        return [] if self.clock is None else [partial(self.clock.jump, seconds) for seconds in (61, 61, 3600, -3600)]

    def _looks(self) -> list[list[Action]]:
        """Each worker looks at one saga, or at all of them in one group."""
        groups = [[key] for key in self.ids] + [list(self.ids)] * 2
        workers = [worker for worker in WORKERS if worker not in self.frozen]
        return [[partial(self.look, group, worker) for group in groups] for worker in workers]

    def look(self, keys: Sequence[UUID], worker: UUID) -> None:
        """As the sweep does."""
        self.apply([Submission(key, t.Look(sweep=True)) for key in keys], worker)

    # -- news and letters ---------------------------------------------------------------------------------------

    def carrying(self) -> list[Action]:
        """News, letters, and what is expected of people."""
        found: list[Action] = [self._work_out] if self.todo else []
        found += [partial(self._deliver, one) for one in (*self.told, *self.letters)]
        return found + [action for key in self.ids for action in self.expected(key)]

    def _work_out(self) -> None:
        """News as it stands now; told later."""
        wanted, self.todo = self.todo, []
        self.told += list(news(self.store, wanted))

    def _deliver(self, one: Submission) -> None:
        if one in self.told:
            self.told.remove(one)
            self.apply([Submission(one.saga_id, one.trigger, one.payload)])
            return
        self.letters.remove(one)
        awaited = self._is_awaited(one)
        result = self.apply([Submission(one.saga_id, one.trigger)])[0]
        if result.verdict is Verdict.APPLIED:
            self.counted.append(one)
        else:
            assert not awaited, f"lost: an answer that is awaited: {result.reason}"

    def _is_awaited(self, one: Submission) -> bool:
        """Whether it is to the attempt that runs, or waits for it."""
        said = one.trigger
        assert isinstance(said, t.Answer)
        step = self.rows(one.saga_id)[1][said.position]
        undo = step.status is StepStatus.COMPENSATING
        attempt = step.undo_attempt if undo else step.attempt
        current = (said.undo, said.round, said.attempt) == (undo, step.round, attempt)
        return current and (step.claimed or step.waits is Wait.ANSWER)

    def _repeat(self, one: Submission, *, ok: bool) -> None:
        """A letter that has counted comes again, or somebody says the opposite: nothing changes."""
        before = self.rows(one.saga_id)[0].revision
        said = one.trigger
        assert isinstance(said, t.Answer)
        trigger = said if ok == said.ok else replace(said, ok=ok, digest=f"{said.undo}:{said.round}:{ok}")
        result = self.apply([Submission(one.saga_id, trigger)])[0]
        same = self.rows(one.saga_id)[0].revision == before
        assert result.verdict is Verdict.IGNORED, "once: an answer counted twice"
        assert same, "once: an answer counted twice"

    # -- faults and people --------------------------------------------------------------------------------------

    def _fault(self, action: Action) -> None:
        self.faults -= 1
        action()

    def _faults(self) -> list[list[Action]]:
        awake = [thread for thread in self.threads if thread.worker not in self.frozen]
        people = [group for key in self.ids for group in self.steering(key)]
        groups: list[list[Action]] = [
            *[self.failing(thread) for thread in awake],
            self.repeats(),
            self._accidents(),
            self._post(),
            *people,
        ]
        return [[partial(self._fault, action) for action in group] for group in groups]

    def _accidents(self) -> list[Action]:
        found: list[Action] = []
        for worker in WORKERS:
            if worker not in self.frozen:
                found += [partial(self.lose, worker, killed=True), partial(self.frozen.add, worker)]
            else:
                found.append(partial(self.lose, worker, killed=False))
        return found

    def _post(self) -> list[Action]:
        """Lost, or told twice; or told otherwise."""
        found: list[Action] = [self.todo.clear] if self.todo else []
        found += [partial(self.apply, [Submission(one.saga_id, one.trigger, one.payload)]) for one in self.told]
        found += [partial(self.told.remove, one) for one in self.told]
        found += [partial(self.letters.remove, one) for one in self.letters]
        return found + [partial(self._repeat, one, ok=ok) for one in self.counted[-3:] for ok in (True, False)]

    # -- to the end ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """No more faults: threads end, news is told, the sweep comes, until nothing moves any more but by people. They
        look after it; and all is over."""
        self.faults = 0
        if self.clock is not None:
            self.clock.jump(MOST * 60)  # however often it was set back
        for worker in WORKERS:
            self.lose(worker, killed=worker in self.frozen)
        self._go_on_until_quiet()
        for key in self.ids:
            assert self.waits_for_somebody(key), f"I1: {key.int % 1000} waits for nobody: {self.rows(key)}"
        for _ in range(20):
            if self._is_over():
                return
            for key in list(self.ids):
                self.settle(key)
            self._go_on_until_quiet()
        raise AssertionError("I1: no end in sight, whatever people do")

    def _is_over(self) -> bool:
        return all(self.rows(key)[0].state in TERMINAL and not self.rows(key)[0].attention for key in self.ids)

    def _go_on_until_quiet(self) -> None:
        quiet = 0  # rounds; what a held step's child has become is told again and again
        for _ in range(100):
            before = {key: self.rows(key)[0].revision for key in self.ids}
            self._go_on()
            after = {key: self.rows(key)[0].revision for key in self.ids}
            quiet = quiet + 1 if before == after and not self.threads else 0
            if quiet == 3:
                return
        raise AssertionError("I1: no end in sight")

    def _go_on(self) -> None:
        while self.threads:
            self.run_out(self.threads[0])
        for key in self.ids:
            for step in self.rows(key)[1]:
                if step.waits is Wait.ANSWER:
                    self.answer_again(key, step)
        for action in self.carrying():
            action()
        self.look(self._due(), WORKERS[0])

    def _due(self) -> list[UUID]:
        """What the sweep finds, an hour later; in a database, whose time nobody moves, it looks at all."""
        if self.clock is None:
            return list(self.ids)
        self.clock.jump(3600)
        return [due.id for due in self.store.due(limit=1000)]

    def waits_for_somebody(self, key: UUID) -> bool:
        """Ended, held for a person, or behind one that is: its child, or who has its lock."""
        saga, steps = self.rows(key)
        if saga.state in TERMINAL or saga.attention:
            return True
        if saga.lock_state is Lock.WAITS:
            return any(self.rows(other)[0].lock_state is Lock.HELD for other in self.ids)
        names = [(saga.graph.steps[step.position].name, step) for step in steps if step.waits is Wait.CHILD]
        below = [child_id(key, name, step.round) for name, step in names]
        return any(self.rows(one)[0].state not in TERMINAL and self.waits_for_somebody(one) for one in below)
