"""The contract, first part: inserting and reading."""

import json
from datetime import timedelta
from uuid import UUID

from sagas.core.states import SagaState, StepStatus
from sagas.definitions.ids import new_id
from sagas.store.base import Existing, Inserted, Store

from .books import Books
from .builders import DIAMOND, EMPTY, LONE, SOON, new_saga, one


class InsertContract:
    """What every store promises about new sagas."""

    def test_insert__rows_are_those_of_a_saga_that_has_just_started(self, store: Store, books: Books) -> None:
        new = new_saga(DIAMOND, rollback=False, wake_in=SOON)

        inserted = one(store.insert([new]))

        saga, steps = store.load([new.id])[new.id]
        assert isinstance(inserted, Inserted)
        assert (saga.id, saga.graph.hash, saga.rollback) == (new.id, DIAMOND.hash, False)
        assert (saga.state, saga.revision, saga.attention) == (SagaState.STARTED, 1, "")
        assert saga.wake_at == inserted.wake_at == inserted.at + SOON
        assert saga.updated_at == inserted.at
        assert saga.completed_at is saga.stale_since is saga.paused_at is None
        assert [step.position for step in steps] == [0, 1, 2, 3]
        assert {step.status for step in steps} == {StepStatus.PENDING}
        assert {(s.round, s.attempt, s.undo_attempt, s.tries, s.undo_tries, s.crashes) for s in steps} == {
            (1, 0, 0, 0, 0, 0)
        }
        assert not any(step.claimed or step.doubt or step.hold or step.due_at for step in steps)
        books.balance(new.id)

    def test_insert__first_history_entry_names_who_started_it(self, store: Store, books: Books) -> None:
        new = new_saga(owner="ann")

        inserted = one(store.insert([new]))

        entry = one(books.entries(new.id))
        assert (entry.seq, entry.kind, entry.actor, entry.at) == (1, "started", "ann", inserted.at)

    def test_insert__payloads_come_back(self, store: Store) -> None:
        context = {"text": 'Zoë ☃ \\ " \n', "whole": 12345678901234567890, "half": 0.5, "no": None, "in": [{"a": []}]}
        new = new_saga(DIAMOND, context=json.dumps(context), inputs={0: '{"n":1}', 2: '{"n":2}'})

        store.insert([new])

        texts = store.texts([new.id])[new.id]
        assert texts.revision == 1
        assert json.loads(texts.context) == context
        assert {p: text and json.loads(text) for p, text in texts.inputs.items()} == {
            0: {"n": 1}, 1: None, 2: {"n": 2}, 3: None,
        }  # fmt: skip
        assert texts.outputs == {0: None, 1: None, 2: None, 3: None}

    def test_insert__nothing__is_nothing(self, store: Store) -> None:
        assert store.insert([]) == []

    def test_insert__without_steps__is_complete_at_once(self, store: Store, books: Books) -> None:
        new = new_saga(EMPTY)

        inserted = one(store.insert([new]))

        saga, steps = store.load([new.id])[new.id]
        assert inserted.wake_at is None
        assert (saga.state, saga.wake_at, saga.completed_at) == (SagaState.COMPLETED, None, inserted.at)
        assert steps == []
        assert store.due(limit=10) == []
        books.balance(new.id)

    def test_insert__many__answers_in_order(self, store: Store) -> None:
        first, second, third = new_saga(idempotency_key="k"), new_saga(EMPTY), new_saga(LONE)
        store.insert([first])
        again = new_saga(idempotency_key="k", payload_hash="other")

        found = store.insert([second, again, third])

        assert isinstance(found[0], Inserted)
        assert found[0].wake_at is None
        assert found[1] == Existing(first.id, "hash")
        assert isinstance(found[2], Inserted)
        assert store.load([first.id, second.id, again.id, third.id]).keys() == {first.id, second.id, third.id}

    def test_insert__used_key__gives_the_first_saga_and_changes_nothing(self, store: Store, books: Books) -> None:
        first = new_saga(owner="ann", idempotency_key="k", payload_hash="one", context='{"n":1}')
        store.insert([first])
        again = new_saga(owner="ann", idempotency_key="k", payload_hash="two", context='{"n":2}')

        found = store.insert([again])

        assert found == [Existing(first.id, "one")]
        assert store.load([again.id]) == {}
        assert json.loads(store.texts([first.id])[first.id].context) == {"n": 1}
        assert len(books.entries(first.id)) == 1
        assert books.entries(again.id) == []

    def test_insert__key_belongs_to_name_and_owner(self, store: Store) -> None:
        store.insert([new_saga(name="x", owner="ann", idempotency_key="k")])

        found = store.insert(
            [
                new_saga(name="y", owner="ann", idempotency_key="k"),
                new_saga(name="x", owner="bob", idempotency_key="k"),
                new_saga(name="x", owner="", idempotency_key="k"),
                new_saga(name="x", owner="ann"),
                new_saga(name="x", owner="ann"),
            ]
        )

        assert [type(answer) for answer in found] == [Inserted] * 5

    def test_insert__one_key_twice_in_one_call__is_one_saga(self, store: Store) -> None:
        first, second = (new_saga(idempotency_key="k") for _ in range(2))

        found = store.insert([first, second])

        assert isinstance(found[0], Inserted)
        assert found[1] == Existing(first.id, "hash")
        assert store.load([first.id, second.id]).keys() == {first.id}


class ReadContract:
    """What every store promises about reading."""

    def test_load__unknown_ids_are_left_out(self, store: Store) -> None:
        new = new_saga()
        store.insert([new])

        assert store.load([new_id(), new.id]).keys() == {new.id}
        assert store.texts([new_id(), new.id]).keys() == {new.id}
        assert store.load([]) == store.texts([]) == {}

    def test_due__earliest_first_and_only_what_is_due(self, store: Store) -> None:
        ages = {"old": timedelta(seconds=-30), "older": timedelta(seconds=-60), "now": timedelta(0), "later": SOON}
        ids = {age: new_saga(wake_in=ages[age]) for age in ages}
        store.insert([*ids.values(), new_saga(EMPTY)])

        found = [due.id for due in store.due(limit=10)]

        assert found == [ids["older"].id, ids["old"].id, ids["now"].id]

    def test_due__cursor_passes_every_saga_once(self, store: Store) -> None:
        # In one call they are due at the same moment: only the id tells them apart.
        same = [new_saga(wake_in=timedelta(seconds=-5)) for _ in range(7)]
        store.insert(same)
        store.insert([new_saga(wake_in=timedelta(seconds=-9)) for _ in range(3)])

        pages: list[list[UUID]] = []
        after = None
        while page := store.due(limit=3, after=after):
            pages.append([due.id for due in page])
            after = page[-1]

        seen = [saga_id for page in pages for saga_id in page]
        assert len(seen) == len(set(seen)) == 10
        assert [len(page) for page in pages] == [3, 3, 3, 1]
        times = [store.load([saga_id])[saga_id][0].wake_at for saga_id in seen]
        assert times == sorted(times)

    def test_due__higher_priority_first__then_the_earliest(self, store: Store) -> None:
        low, high, older, later = (
            new_saga(priority=priority, wake_in=timedelta(seconds=age))
            for priority, age in ((-5, -90), (7, -10), (7, -20), (9, 60))
        )
        plain = new_saga(wake_in=timedelta(seconds=-1))
        store.insert([low, high, older, later, plain])

        found = store.due(limit=10)

        assert [due.id for due in found] == [older.id, high.id, plain.id, low.id]
        assert [due.priority for due in found] == [7, 7, 0, -5]

    def test_due__cursor_goes_through_priorities(self, store: Store) -> None:
        sagas = [new_saga(priority=n % 3, wake_in=timedelta(seconds=-n // 4)) for n in range(20)]
        store.insert(sagas)

        seen: list[UUID] = []
        after = None
        while page := store.due(limit=3, after=after):
            seen += [due.id for due in page]
            after = page[-1]

        assert len(seen) == len(set(seen)) == 20
        priorities = {new.id: new.priority for new in sagas}
        assert [priorities[saga_id] for saga_id in seen] == sorted(priorities.values(), reverse=True)

    def test_due__behind_the_last__is_nothing(self, store: Store) -> None:
        store.insert([new_saga()])
        last = store.due(limit=1)[-1]

        assert store.due(limit=5, after=last) == []

    def test_now__moves_on_and_is_aware(self, store: Store) -> None:
        first, second = store.now(), store.now()

        assert first.tzinfo is not None
        assert first <= second
        assert abs(store.clock() - second) < timedelta(seconds=5)
