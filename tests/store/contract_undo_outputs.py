"""The contract: what compensations returned is kept for their round, whoever says it."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from sagas.core import triggers as t
from sagas.core.claims import Claim
from sagas.core.graph import Graph
from sagas.core.states import SagaState, StepStatus
from sagas.store.base import Payload, Store, Submission, Verdict

from .books import Books
from .builders import DIAMOND, LONE, PAIR, Crew, line, one, spec, started, submit

#: a, which needs no undoing; then b and c side by side; then d.
FORK = Graph(
    [replace(spec("a"), compensation="", no_compensation="reads"), spec("b", 0), spec("c", 0), spec("d", 1, 2)]
)
THREE = line("first", "second", "third")


class UndoOutputContract:
    """What every store promises about the outputs of compensations."""

    @pytest.mark.parametrize(
        "output", [{}, [], "", 0, False, {"a": {"b": [1, 2.5, None, True, "☃"]}}, "null", 10**20, 1e-7]
    )
    def test_undo_output__comes_back_as_it_was(self, store: Store, books: Books, crew: Crew, output: Any) -> None:
        saga_id, undo = undoing(store, crew)

        store.apply([crew.done(saga_id, undo, output)])

        found = undo_outputs(store, saga_id)[0]
        assert found == output
        assert type(found) is type(output)
        books.balance(saga_id)

    def test_undo_output__nothing_returned__is_none(self, store: Store, crew: Crew) -> None:
        saga_id, undo = undoing(store, crew)

        store.apply([crew.report(t.Completed, saga_id, undo, payload=Payload())])

        assert store.load([saga_id])[saga_id][1][0].status is StepStatus.COMPENSATED
        assert undo_outputs(store, saga_id)[0] is None

    def test_undo_output__with_a_claim__comes_with_the_payloads_of_the_next_look(
        self, store: Store, crew: Crew
    ) -> None:
        saga_id, claim = started(store, crew, THREE)
        claim = one(store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims)
        store.apply([crew.done(saga_id, claim)])
        undo = one(submit(store, saga_id, t.Compensate("ann", "why"), crew.offer()).claims)
        store.apply([crew.done(saga_id, undo, {"undo": "second"})])

        result = submit(store, saga_id, t.Look(), crew.offer())

        assert one(result.claims).position == 0
        texts = result.texts or store.texts([saga_id])[saga_id]
        assert json.loads(texts.undo_outputs[1] or "") == {"undo": "second"}

    def test_undo_outputs__of_one_group__all_stay(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, DIAMOND)
        b, c = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims
        store.apply([crew.done(saga_id, b), crew.done(saga_id, c)])
        undo_b, undo_c = submit(store, saga_id, t.Compensate("ann", "why"), crew.offer()).claims
        other, done = undoing(store, crew)

        store.apply(
            [
                crew.done(saga_id, undo_b, "b"),
                crew.report(t.Completed, other, done, payload=Payload()),
                crew.done(saga_id, undo_c, "c"),
            ]
        )

        assert [undo_outputs(store, saga_id)[position] for position in (undo_b.position, undo_c.position)] == ["b", "c"]
        assert undo_outputs(store, other)[0] is None
        books.balance(saga_id, other)

    def test_undo_output__another_attempt_after_a_debt__those_of_others_stay(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, THREE)
        claim = one(store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims)
        store.apply([crew.done(saga_id, claim)])
        second = one(submit(store, saga_id, t.Compensate("ann", "why"), crew.offer()).claims)
        first = one(store.apply([crew.done(saga_id, second, "second")], crew.offer())[0].claims)

        store.apply([crew.report(t.Rejected, saga_id, first, code="no")])
        first = one(submit(store, saga_id, t.Retry("ann", "again"), crew.offer()).claims)
        assert undo_outputs(store, saga_id) == {0: None, 1: "second", 2: None}
        store.apply([crew.done(saga_id, first, "first")])

        assert undo_outputs(store, saga_id) == {0: "first", 1: "second", 2: None}

    def test_undo_output__of_a_late_result__is_not_written(self, store: Store, crew: Crew) -> None:
        saga_id, undo = undoing(store, crew)
        submit(store, saga_id, t.WorkerLost(crew.id))

        result = one(store.apply([crew.done(saga_id, undo, "late")]))

        assert result.verdict is Verdict.IGNORED
        assert undo_outputs(store, saga_id)[0] is None

    def test_undo_output__of_an_answer(self, store: Store, crew: Crew) -> None:
        saga_id, undo = undoing(store, crew)
        store.apply([crew.report(t.Waits, saga_id, undo)])

        answer = t.Answer(0, 1, 1, undo=True, ok=True, digest="d")
        store.apply([Submission(saga_id, answer, Payload(output='{"refund":7}'))])

        assert undo_outputs(store, saga_id)[0] == {"refund": 7}
        assert json.loads(store.texts([saga_id])[saga_id].outputs[0] or "") == {"do": 1}

    @pytest.mark.parametrize("done", [True, False])
    def test_undo_output__of_a_debt_that_a_person_resolved(self, store: Store, crew: Crew, done: bool) -> None:
        saga_id, undo = undoing(store, crew)
        store.apply([crew.report(t.Rejected, saga_id, undo, code="no")])

        resolved = t.Resolve("ann", "by hand", None, 0, done)
        store.apply([Submission(saga_id, resolved, Payload(output='"by hand"') if done else None)])

        assert undo_outputs(store, saga_id)[0] == ("by hand" if done else None)

    def test_undo_output__of_a_late_effect_that_was_looked_into__is_not_what_was_said_of_the_action(
        self, store: Store, crew: Crew
    ) -> None:
        # A timed-out action is undone, and then its thread reports that it happened.
        saga_id, claim = started(store, crew, LONE)
        store.apply([crew.report(t.InDoubt, saga_id, claim, code="timeout", final=True)])
        undo = one(submit(store, saga_id, t.Look(), crew.offer()).claims)
        store.apply([crew.report(t.Completed, saga_id, undo)])
        late = one(store.apply([crew.done(saga_id, claim, "late")]))
        assert late.saga is not None
        assert late.saga.attention == "late_effect"

        resolved = t.Resolve("ann", "undone by hand", None, 0, done=True)
        store.apply([Submission(saga_id, resolved, Payload(output='"action"'))])

        assert undo_outputs(store, saga_id)[0] is None

    @pytest.mark.parametrize("together", [False, True], ids=["group-each", "one-group"])
    def test_undo_outputs__of_a_rollback_in_part__are_gone_with_the_next_round(
        self, store: Store, books: Books, crew: Crew, together: bool
    ) -> None:
        saga_id, claim = started(store, crew, FORK)
        b, c = store.apply([crew.done(saga_id, claim, "a")], crew.offer())[0].claims
        store.apply([crew.done(saga_id, b, "b")])
        store.apply([crew.done(saga_id, c, "c")])
        undos = submit(store, saga_id, t.Rewind("ann", "again", None, 0), crew.offer()).claims

        done = [crew.done(saga_id, undo, "undone") for undo in undos]
        for group in [done] if together else [[one_of] for one_of in done]:
            store.apply(group)

        saga, steps = store.load([saga_id])[saga_id]
        assert (saga.state, len(undos), steps[1].round) == (SagaState.STARTED, 2, 2)
        assert not any(undo_outputs(store, saga_id).values())
        books.balance(saga_id)

    def test_undo_outputs__while_a_part_is_rolled_back__are_there(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR)
        claim = one(store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims)
        store.apply([crew.report(t.InDoubt, saga_id, claim, final=True)])
        undo = one(submit(store, saga_id, t.Look(), crew.offer()).claims)

        store.apply([crew.done(saga_id, undo, "second")])

        assert undo_outputs(store, saga_id) == {0: None, 1: "second"}


def undoing(store: Store, crew: Crew) -> tuple[UUID, Claim]:
    """A saga of two steps whose first one is done, and is being undone."""
    saga_id, claim = started(store, crew, PAIR)
    store.apply([crew.done(saga_id, claim, {"do": 1})])
    return saga_id, one(submit(store, saga_id, t.Compensate("ann", "why"), crew.offer()).claims)


def undo_outputs(store: Store, saga_id: UUID) -> dict[int, Any]:
    texts = store.texts([saga_id])[saga_id].undo_outputs
    return {position: None if text is None else json.loads(text) for position, text in texts.items()}
