"""What the API needs to be installed, said in one sentence when it is not. Imports nothing of it."""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

_NEEDED = {"rest_framework": "djangorestframework", "django_filters": "django-filter"}


def require_api_packages() -> None:
    """Raise `ImproperlyConfigured` when the REST API can not work here."""
    missing = [package for module, package in _NEEDED.items() if not _importable(module)]
    if missing:
        raise ImproperlyConfigured(
            f"sagas.api.urls is included, but {' and '.join(missing)} can not be imported: install what the "
            f"REST API needs (pip install 'sagas[api]'), or leave sagas.api.urls out."
        )
    if not apps.is_installed("rest_framework"):
        raise ImproperlyConfigured(
            "sagas.api.urls is included, but 'rest_framework' is not in INSTALLED_APPS: add it, or leave "
            "sagas.api.urls out."
        )


def has_tokens() -> bool:
    """Whether REST framework's own tokens are in use."""
    return apps.is_installed("rest_framework.authtoken")


def has_openapi() -> bool:
    """Whether drf-spectacular describes the API."""
    return apps.is_installed("drf_spectacular")


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:
        # A module that is blocked (None in sys.modules) has no spec to find.
        return False
