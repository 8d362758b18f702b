"""Stores: the one in the settings, made once per process."""

from __future__ import annotations

from functools import lru_cache

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..conf import app_settings
from .base import Store

_METHODS = ("insert", "load", "due", "apply")


def find_store(path: str) -> type[Store]:
    """The class at a dotted path; ValueError when there is none, or it is no store."""
    problem = "has no " + ", ".join(_METHODS)
    try:
        found = import_string(path)
    except ImportError as exc:
        found, problem = None, str(exc)
    if not isinstance(found, type) or not all(hasattr(found, name) for name in _METHODS):
        raise ValueError(f"expected the dotted path of a store class, got {path!r}: {problem}")
    return found


@lru_cache(maxsize=1)
def get_store() -> Store:
    """The store named by `SAGAS["STORE"]`."""
    return find_store(app_settings().STORE)()


def _reset(*, setting: str, **kwargs: object) -> None:
    if setting == "SAGAS":
        get_store.cache_clear()


setting_changed.connect(_reset, dispatch_uid="sagas.store")
