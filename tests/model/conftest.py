"""Both stores, for what has to be seen in stored rows."""

import pytest

from sagas.store.base import Store
from sagas.store.memory import MemoryStore
from sagas.store.orm import OrmStore


@pytest.fixture(params=[MemoryStore, pytest.param(OrmStore, marks=pytest.mark.django_db)])
def store(request: pytest.FixtureRequest) -> Store:
    """A store in memory, and the host's database."""
    made: Store = request.param()
    return made
