"""The contract, third part: payloads are written with the trigger that they came with, or not at all."""

import json
from typing import Any

import pytest

from sagas.core import triggers as t
from sagas.store.base import Payload, Store, Verdict

from .books import Books
from .builders import DIAMOND, LONE, PAIR, Crew, one, started, submit


class PayloadContract:
    """What every store promises about payloads."""

    @pytest.mark.parametrize(
        "output", [None, {}, [], "", 0, False, {"a": {"b": [1, 2.5, None, True, "☃"]}}, "null", 10**20, 1e-7]
    )
    def test_output__comes_back_as_it_was(self, store: Store, crew: Crew, output: Any) -> None:
        saga_id, claim = started(store, crew, PAIR)

        store.apply([crew.done(saga_id, claim, output)])

        text = store.texts([saga_id])[saga_id].outputs[0]
        assert text is not None
        found = json.loads(text)
        assert found == output
        assert type(found) is type(output)

    def test_output_of_an_undo__stands_beside_that_of_the_action(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR)
        store.apply([crew.done(saga_id, claim, {"do": 1})])
        undo = one(store.apply([_compensate(saga_id)], crew.offer())[0].claims)

        store.apply([crew.done(saga_id, undo, {"undo": 1}, context='{"undone":true}')])

        texts = store.texts([saga_id])[saga_id]
        assert json.loads(texts.outputs[0] or "") == {"do": 1}
        assert json.loads(texts.undo_outputs[0] or "") == {"undo": 1}
        assert json.loads(texts.context) == {"order": 1, "undone": True}

    def test_context__keys_are_added_and_replaced_whole(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR, context='{"keep":1,"deep":{"a":1}}')

        store.apply([crew.done(saga_id, claim, context='{"deep":{"b":2},"new":null}')])

        assert json.loads(store.texts([saga_id])[saga_id].context) == {"keep": 1, "deep": {"b": 2}, "new": None}

    def test_context__additions_of_one_group__in_the_order_of_the_submissions(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, DIAMOND)
        b, c = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims

        store.apply(
            [
                crew.done(saga_id, c, context='{"last":"c","c":1}'),
                crew.done(saga_id, b, context='{"last":"b","b":"ü\\\\"}'),
            ]
        )

        found = json.loads(store.texts([saga_id])[saga_id].context)
        assert found == {"order": 1, "last": "b", "c": 1, "b": "ü\\"}

    def test_payload_of_an_ignored_result__is_not_written(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR, inputs={0: "{}"})
        submit(store, saga_id, t.WorkerLost(crew.id))
        before = store.texts([saga_id])

        late = crew.done(saga_id, claim, "late", context='{"late":1}', inputs={1: '{"late":1}'}, basis=3)
        result = one(store.apply([late], Crew().offer()))

        assert result.verdict is Verdict.IGNORED
        after = store.texts([saga_id])
        after[saga_id].revision = before[saga_id].revision
        assert after == before
        books.balance(saga_id)

    def test_payload_of_a_failure__is_not_written(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR)

        store.apply([crew.report(t.InDoubt, saga_id, claim, payload=Payload(output='"x"', context='{"x":1}'))])

        texts = store.texts([saga_id])[saga_id]
        assert texts.outputs[0] is None
        assert json.loads(texts.context) == {"order": 1}

    def test_inputs_ahead__are_stored_with_the_claim(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR, inputs={0: "{}"})

        store.apply([crew.done(saga_id, claim, inputs={1: '{"ahead":1}'}, basis=2)], crew.offer())

        assert store.texts([saga_id])[saga_id].inputs[1] == '{"ahead":1}' or _same(store, saga_id, 1, {"ahead": 1})

    @pytest.mark.parametrize("basis", [None, 1, 3])
    def test_inputs_ahead__from_another_revision__are_not_used(
        self, store: Store, crew: Crew, basis: int | None
    ) -> None:
        saga_id, claim = started(store, crew, PAIR, inputs={0: "{}"})

        result = one(store.apply([crew.done(saga_id, claim, inputs={1: '{"ahead":1}'}, basis=basis)], crew.offer()))

        assert len(result.claims) == 1
        assert store.texts([saga_id])[saga_id].inputs[1] is None

    def test_inputs_ahead__of_a_step_that_was_not_claimed__are_not_used(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, DIAMOND, inputs={0: "{}"})

        ahead = crew.done(saga_id, claim, inputs={1: '{"n":1}', 2: '{"n":2}'}, basis=2)
        store.apply([ahead], crew.offer(slots=1))

        inputs = store.texts([saga_id])[saga_id].inputs
        assert [position for position in (1, 2) if inputs[position] is not None] == [1]

    def test_inputs_ahead__after_another_trigger_of_the_same_group__are_not_used(
        self, store: Store, crew: Crew
    ) -> None:
        saga_id, claim = started(store, crew, DIAMOND, inputs={0: "{}"})
        b, c = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims

        # Each was worked out from revision 3, where the other one's output was missing.
        results = store.apply(
            [
                crew.done(saga_id, b, inputs={3: '{"from":"b"}'}, basis=3),
                crew.done(saga_id, c, inputs={3: '{"from":"c"}'}, basis=3),
            ],
            crew.offer(),
        )

        assert [len(result.claims) for result in results] == [0, 1]
        assert store.texts([saga_id])[saga_id].inputs[3] is None

    def test_prepared__stores_the_input_and_changes_no_row(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR, inputs={})
        before = store.load([saga_id])

        prepared = crew.report(t.Prepared, saga_id, claim, payload=Payload(inputs={0: '{"n":1}'}))
        result = one(store.apply([prepared], crew.offer()))

        assert result.verdict is Verdict.APPLIED
        assert _same(store, saga_id, 0, {"n": 1})
        assert store.load([saga_id]) == before
        assert books.kinds(saga_id) == ["started", "claimed"]

    def test_prepared__first_input_stays(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE, inputs={0: '{"first":1}'})

        store.apply([crew.report(t.Prepared, saga_id, claim, payload=Payload(inputs={0: '{"second":1}'}))])

        assert _same(store, saga_id, 0, {"first": 1})

    def test_prepared__without_the_claim__stores_nothing(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE, inputs={})
        submit(store, saga_id, t.WorkerLost(crew.id))

        prepared = crew.report(t.Prepared, saga_id, claim, payload=Payload(inputs={0: '{"n":1}'}))
        result = one(store.apply([prepared]))

        assert result.verdict is Verdict.IGNORED
        assert store.texts([saga_id])[saga_id].inputs[0] is None
        assert books.notes(saga_id) == []


def _compensate(saga_id: Any) -> Any:
    from sagas.store.base import Submission

    return Submission(saga_id, t.Compensate("ann", "why"))


def _same(store: Store, saga_id: Any, position: int, value: Any) -> bool:
    text = store.texts([saga_id])[saga_id].inputs[position]
    return text is not None and json.loads(text) == value
