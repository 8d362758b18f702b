"""The stale monitor: flags, once, every saga that has made no progress for STALE_AFTER. Progress clears the flag."""

from __future__ import annotations

import logging
from datetime import timedelta

from ..conf import app_settings
from ..core.triggers import FlagStale
from ..definitions.ids import id_text
from ..models import Saga
from ..store import get_store
from ..store.base import Submission, Verdict
from .commit import commit

logger = logging.getLogger(__name__)

_GROUP = 100


def flag_stale(since: timedelta | None = None) -> int:
    """Flag sagas that are active, not paused, not waiting for a person and unchanged for `since` (STALE_AFTER).

    Returns how many were flagged. Running it twice, or in two places at once, flags nothing twice.
    """
    store = get_store()
    flagged = 0
    seen: set[object] = set()
    while True:
        found = Saga.objects.using(app_settings().DATABASE).without_progress(now=store.now(), since=since)
        ids = list(found.exclude(pk__in=seen).order_by("pk").values_list("pk", flat=True)[:_GROUP])
        if not ids:
            return flagged
        seen.update(ids)
        for result in commit(store, [Submission(saga_id, FlagStale()) for saga_id in ids]):
            if result.verdict is Verdict.APPLIED:
                flagged += 1
                logger.warning(
                    "saga %s has made no progress",
                    id_text(result.submission.saga_id),
                    extra={"action": "flagged_stale", "saga_id": id_text(result.submission.saga_id)},
                )
