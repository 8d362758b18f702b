"""What is hidden in a saga's payloads: by the settings, and by the definition as today's code has it.

Hiding is a matter of reading: a name that is added today hides what was stored yesterday.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..conf import app_settings
from ..core.graph import SAGA
from ..core.redaction import Rules, read_rules, redact
from .registry import registry


@lru_cache(maxsize=8)
def _of_settings(names: tuple[str, ...]) -> Rules:
    return read_rules("SENSITIVE", names)


def rules_of(name: str, action: str = "") -> Rules:
    """For the sagas of that name. `action`: for a step of one; a child saga brings its own definition's rules along,
    since the step's output is the child's context."""
    found = _of_settings(app_settings().SENSITIVE)
    names = (name, action.removeprefix(SAGA) if action.startswith(SAGA) else "")
    for definition in filter(None, map(registry.definitions.get, names)):
        found |= definition.hidden()
    return found


def shown(value: Any, name: str, action: str = "") -> Any:
    """A payload of a saga of that name, as everybody may see it."""
    return redact(value, rules_of(name, action))
