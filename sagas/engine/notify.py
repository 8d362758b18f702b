"""Hints: telling the workers that a saga is there. Never waits, never raises; whatever is lost the sweep finds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from django.core.signals import setting_changed

from ..conf import app_settings
from ..definitions.registry import registry
from ..transports import Topology, publisher_for


@lru_cache(maxsize=1)
def topology() -> Topology | None:
    """What the settings say of the broker; None without one."""
    settings = app_settings()
    if not settings.BROKER_URL:
        return None
    queues = {handler.queue for handler in registry.handlers.values() if handler.queue}
    return Topology(
        url=settings.BROKER_URL,
        connection_name=settings.CONNECTION_NAME,
        exchange=settings.EXCHANGE,
        step_queue=settings.STEP_QUEUE,
        compensate_queue=settings.COMPENSATE_QUEUE,
        dead_letter_exchange=settings.DEAD_LETTER_EXCHANGE,
        dead_letter_queue=settings.DEAD_LETTER_QUEUE,
        extra_queues=tuple(sorted(queues)),
    )


def hint(ids: Iterable[UUID], *, undo: bool = False, participant: str = "") -> None:
    """Say "look at these sagas": to the workers of a participant's queue, or to those that compensate."""
    found = topology()
    publisher = publisher_for(found)
    queue = None
    if found is not None:
        queue = found.compensate_queue if undo else found.participant_queue(participant)
    for saga_id in ids:
        publisher.publish(saga_id, queue=queue)


def hint_grace() -> timedelta:
    """How long a fresh saga waits for its hint before the sweep looks at it: not at all without a broker."""
    return app_settings().HINT_GRACE if app_settings().BROKER_URL else timedelta(0)


def _reset(*, setting: str, **kwargs: object) -> None:
    if setting == "SAGAS":
        topology.cache_clear()


setting_changed.connect(_reset, dispatch_uid="sagas.engine.notify")
