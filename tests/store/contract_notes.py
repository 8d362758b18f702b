"""The contract, about notes: lines of the history that no decision makes."""

from sagas.core.history import Entry
from sagas.core.states import StepStatus
from sagas.definitions.ids import new_id
from sagas.store.base import Store

from .books import Books
from .builders import PAIR, Crew, started


def note(store: Store, key: str, position: int = 0) -> Entry:
    return Entry(None, "noted", store.now(), position, data={"said": "so"}, note_key=key)


class NoteContract:
    """What every store promises about notes."""

    def test_note__once_per_key__and_nothing_else_changes(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, _claim = started(store, crew)
        before = store.load([saga_id])

        found = [store.add_note(saga_id, note(store, key), status=StepStatus.RUNNING) for key in ("a", "a", "b")]

        assert found == [True, False, True]
        told = books.notes(saga_id)
        assert [(entry.kind, entry.note_key, entry.data) for entry in told] == [
            ("noted", "a", {"said": "so"}),
            ("noted", "b", {"said": "so"}),
        ]
        assert store.load([saga_id]) == before
        books.balance(saga_id)

    def test_note__not_of_a_step_that_has_moved__or_a_saga_that_is_gone(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        saga_id, _claim = started(store, crew, PAIR)

        assert not store.add_note(saga_id, note(store, "a", 1), status=StepStatus.RUNNING)
        assert not store.add_note(new_id(), note(store, "a"), status=StepStatus.RUNNING)
        assert books.notes(saga_id) == []

    def test_note__about_the_saga__each_of_them_a_line_of_its_own(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, _claim = started(store, crew)
        seen = Entry(None, "seen", store.now(), actor="ines", reason="to help")

        found = [store.add_note(one, seen, status=None) for one in (saga_id, saga_id, new_id())]

        assert found == [True, True, False]
        assert [(entry.kind, entry.actor, entry.reason) for entry in books.notes(saga_id)] == [
            ("seen", "ines", "to help"),
            ("seen", "ines", "to help"),
        ]
        books.balance(saga_id)
