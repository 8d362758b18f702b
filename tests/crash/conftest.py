"""The scene of the crash tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import transaction

from sagas.engine.notify import topology
from tests.crash.scene import Scene
from tests.services import rabbitmq
from tests.store.database import transactional_db as no_sagas

__all__ = ["no_sagas"]


@pytest.fixture
def transactional_db(no_sagas: None) -> Iterator[None]:
    """Real commits; in the end there are no sagas, and the participants' books are empty."""
    yield
    with transaction.atomic():
        for model in apps.get_models():
            if model.__module__.startswith("participants."):
                model._base_manager.all()._raw_delete("default")


@pytest.fixture
def scene(transactional_db: None, database_url: str, programs_vhost: str, tmp_path: Path) -> Iterator[Scene]:
    """Real processes on the session's database, and on a vhost in which nothing is."""
    yield Scene(database_url, programs_vhost, tmp_path)
    found = topology()
    assert found is not None
    queues = [*found.hint_queues, found.dead_letter_queue]
    rabbitmq.remove_queues(programs_vhost, queues=queues, exchanges=[found.exchange, found.dead_letter_exchange])
