"""Who this process is: its row in the workers' table, its tokens, its handlers."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from itertools import count
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from ..conf import app_settings
from ..definitions.ids import new_id
from ..definitions.registry import registry
from ..models import Worker


class Identity:
    """The worker id of this process. It changes when the process was taken for dead: old claims are lost then."""

    def __init__(self, *, queues: frozenset[str] | None, slots: int) -> None:
        self.id: UUID = new_id()
        self.queues = queues
        self.slots = slots
        #: Unique for ever together with the id.
        self.next_token = count(1).__next__
        self.handlers = registry.names()

    def register(self) -> None:
        """Write the row that says this process lives."""
        self.handlers = registry.names()
        Worker.objects.using(app_settings().DATABASE).create(
            id=self.id,
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            queues=None if self.queues is None else sorted(self.queues),
            handlers=sorted(self.handlers),
            slots=self.slots,
            free_slots=self.slots,
            beat_at=timezone.now(),
        )

    def renew(self) -> None:
        """Start a new life: others took this process for dead, so nothing it holds under the old id counts."""
        self.id = new_id()
        self.register()

    def beat(self, *, free_slots: int, depths: Mapping[str, int], running: Mapping[str, Any] | None = None) -> bool:
        """Say that this process lives; False when others have taken it for dead."""
        rows = Worker.objects.using(app_settings().DATABASE).filter(pk=self.id, dead=False)
        seen = {"free_slots": free_slots, "queue_depths": dict(depths), "running": running}
        return bool(rows.update(beat=F("beat") + 1, beat_at=timezone.now(), **seen))

    def retire(self, *, holds_claims: bool) -> None:
        """The process ends: its row goes, or says dead so that others take its claims over at once."""
        rows = Worker.objects.using(app_settings().DATABASE).filter(pk=self.id)
        if holds_claims:
            rows.update(dead=True)
        else:
            rows.delete()
