"""System checks of the settings and the project."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Info, register

from ..conf import app_settings, find_admin_base, read
from ..store import find_store
from ..transports import TransportError, parse_url

#: What the names of usable database engines end in; packages wrap Django's under the same last word.
_ENGINES = ("postgresql", "postgis", "sqlite3", "spatialite")
_LOCAL = ("localhost", "127.0.0.1", "::1")


@register("sagas")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """The `SAGAS` dict."""
    _, problems = read(getattr(settings, "SAGAS", {}))
    found: list[CheckMessage] = [
        Error(problem, hint="The settings and their units are in the README of sagas.", id="sagas.E001")
        for problem in problems
    ]
    url = app_settings().BROKER_URL
    if url:
        try:
            parse_url(url)
        except TransportError as exc:
            found.append(Error(f"SAGAS['BROKER_URL']: {exc}", hint="None: no broker.", id="sagas.E002"))
    try:
        find_store(app_settings().STORE)
    except ValueError as exc:
        found.append(Error(f"SAGAS['STORE']: {exc}", hint="Leave it out for the default.", id="sagas.E006"))
    return found


@register("sagas")
def check_admin_base(**kwargs: Any) -> list[CheckMessage]:
    """What the admin's pages are built on."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    try:
        find_admin_base(app_settings().ADMIN_BASE)
    except ValueError as exc:
        hint = "Name a subclass of django.contrib.admin.ModelAdmin, or leave it out for that."
        return [Error(f"SAGAS['ADMIN_BASE']: {exc}", hint=hint, id="sagas.E007")]
    return []


@register("sagas")
def check_project(**kwargs: Any) -> list[CheckMessage]:
    """The database and the time zone support that the engine needs."""
    found: list[CheckMessage] = []
    alias = app_settings().DATABASE
    if alias not in settings.DATABASES:
        text = f"SAGAS['DATABASE']: expected a name of DATABASES, got {alias!r}"
        found.append(Error(text, hint="Leave it out for 'default'.", id="sagas.E003"))
        return found
    engine = str(settings.DATABASES[alias].get("ENGINE", ""))
    if not engine.endswith(_ENGINES):
        text = f"sagas needs PostgreSQL or SQLite, DATABASES[{alias!r}] is {engine}"
        found.append(Error(text, hint="Name another one in SAGAS['DATABASE'].", id="sagas.E004"))
    if not settings.USE_TZ:
        found.append(Error("sagas stores aware times", hint="Set USE_TZ = True.", id="sagas.E005"))
    return found


@register("sagas")
def check_api(**kwargs: Any) -> list[CheckMessage]:
    """The REST API is off until what it needs is installed."""
    if not apps.is_installed("rest_framework"):
        return [
            Info(
                "the REST API of sagas is off: 'rest_framework' is not in INSTALLED_APPS",
                hint="pip install 'sagas[api]', add 'rest_framework' and 'django_filters', include('sagas.api.urls').",
                id="sagas.I001",
            )
        ]
    return []


@register("sagas", deploy=True)
def check_broker_transport(**kwargs: Any) -> list[CheckMessage]:
    """A broker on another machine is spoken to in TLS only."""
    try:
        address = parse_url(app_settings().BROKER_URL or "")
    except TransportError:
        return []  # none, or E002
    if not address.tls and address.host not in _LOCAL:
        return [
            checks.Warning(
                "SAGAS['BROKER_URL'] is not encrypted, and its host is not this one",
                hint="Use amqps://.",
                id="sagas.W001",
            )
        ]
    return []
