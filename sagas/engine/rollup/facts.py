"""What is seen of living sagas alone, along the partial indexes over them."""

from __future__ import annotations

from typing import Any

from django.db.models import Count

from ...core.states import ALIVE
from ...definitions.ids import id_text
from ...models import Saga


def facts(alias: str) -> dict[str, Any]:
    """Who needs attention and why, who is stale, and the oldest that has not ended; JSON-ready."""
    sagas = Saga.objects.using(alias).order_by()
    held = sagas.needing_attention().values_list("name", "attention").annotate(count=Count("pk"))
    stale = sagas.stale().values_list("name").annotate(count=Count("pk"))
    return {
        "attention": sorted([name, why, count] for name, why, count in held),
        "stale": sorted([name, count] for name, count in stale),
        "oldest": _oldest(alias),
    }


def _oldest(alias: str) -> dict[str, str] | None:
    """By id, which tells the time: one step down the index for each state."""
    found = [
        saga
        for state in sorted(ALIVE)
        for saga in Saga.objects.using(alias).filter(state=state).order_by("pk").only("id", "name", "created_at")[:1]
    ]
    if not found:
        return None
    oldest = min(found, key=lambda saga: saga.created_at)
    return {"id": id_text(oldest.pk), "name": oldest.name, "at": oldest.created_at.isoformat()}
