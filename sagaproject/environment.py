"""Text from the environment turned into Django settings. Only `settings.py` itself reads the environment.

What is wrong with a value is said in one sentence, without the value where it may hold a password.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

_DATABASE_FORMS = "postgres://user:password@host:5432/name or sqlite:///path/to/file.sqlite3"
_BROKER_FORM = "amqp://user:password@host:5672/vhost"
_SQLITE = {
    # IMMEDIATE takes the write lock at BEGIN, where waiting for it works; later it would fail at once.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
#: A process that freezes in the middle of a handler's transaction gives its locks back after a while.
_POSTGRES = "-c idle_in_transaction_session_timeout=60s"


def database(url: str) -> dict[str, Any]:
    """The entry of DATABASES for a DATABASE_URL."""
    try:
        config: dict[str, Any] = {**dj_database_url.parse(url, conn_health_checks=True)}
        scheme, found = urlsplit(url).scheme, config["ENGINE"].rpartition(".")[2]
    except ValueError as exc:  # dj-database-url's own errors are ValueErrors, and may quote the password
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: expected {_DATABASE_FORMS}.") from exc
    if found not in ("sqlite3", "postgresql") or not config["NAME"]:
        raise ImproperlyConfigured(f"DATABASE_URL begins with {scheme!r}: expected {_DATABASE_FORMS}.")
    if found == "sqlite3":
        config["OPTIONS"] = {**_SQLITE, **config.get("OPTIONS", {})}
    else:
        config["CONN_MAX_AGE"] = 60
        config["OPTIONS"] = {"options": _POSTGRES, **config.get("OPTIONS", {})}
        config["TEST"] = {"TEMPLATE": "template0", "CHARSET": "UTF8"}
    return config


def broker(url: str) -> str | None:
    """A usable BROKER_URL, or None for "no broker"."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("amqp", "amqps") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise ImproperlyConfigured(f"BROKER_URL cannot be read: expected {_BROKER_FORM}.")
    return url


def flag(environ: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """A switch: 1, true, yes, on or 0, false, no, off."""
    text = environ.get(name, "").strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    if not text:
        return default
    raise ImproperlyConfigured(f"{name} is {text!r}: expected 1 or 0.")


def words(environ: Mapping[str, str], name: str, *, default: str = "") -> list[str]:
    """A list written with commas."""
    return [word.strip() for word in environ.get(name, default).split(",") if word.strip()]


def prefixed(environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """`SAGAS_PREFETCH=50` as {"PREFETCH": 50}: what is JSON is read as JSON, all else is text."""
    return {name.removeprefix(prefix): _value(text) for name, text in environ.items() if name.startswith(prefix)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def kept_secret(path: Path) -> str:
    """A random key made on first use and kept in a file of this user's. Several processes may ask at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48), encoding="ascii")
        try:
            os.link(fresh, path)  # atomic, and the first one wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="ascii")
