"""The memory store."""

import pytest

from sagas.store.memory import MemoryStore

from .books import Books, memory_books
from .builders import Crew
from .contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def books(self, store: MemoryStore) -> Books:
        return memory_books(store)

    @pytest.fixture
    def crew(self) -> Crew:
        return Crew()
