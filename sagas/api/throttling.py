"""Rates, for hosts that set them: `REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["sagas.start"] = "60/min"`.

Scopes: `sagas.read`, `sagas.start`, `sagas.operate`, `sagas.answer` (counted per address: who answers is no
user). Without a rate nothing is counted, no cache is asked.
"""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

READ = "sagas.read"
START = "sagas.start"
OPERATE = "sagas.operate"
ANSWER = "sagas.answer"


class ScopeThrottle(ScopedRateThrottle):
    """Counts per user and scope, where the host gave the scope a rate."""

    def get_rate(self) -> str | None:
        """The host's rate as it is now; None = not limited."""
        rates: dict[Any, Any] = api_settings.DEFAULT_THROTTLE_RATES or {}
        return rates.get(self.scope)
