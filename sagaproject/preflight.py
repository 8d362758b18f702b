"""What a newcomer may have got wrong, asked before anything starts: one sentence each, no password in it."""

import errno
import socket

from django.conf import settings
from django.db import OperationalError, connection
from kombu import Connection


def trouble(*, port: int | None = None) -> str:
    """Why the project cannot start; "" when it can."""
    return (port_trouble(port) if port else "") or database_trouble() or broker_trouble()


def port_trouble(port: int) -> str:
    """Whether somebody else listens there."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ""
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            return f"Port {port} is taken: choose another one, as in `make run PORT={port + 1}`."
        return f"Port {port} cannot be used ({exc.strerror}): choose another one, as in `make run PORT=8001`."


def database_trouble() -> str:
    """Whether the database lets us in."""
    try:
        connection.ensure_connection()
    except OperationalError as exc:
        said = str(exc).strip().splitlines()[-1]
        if connection.vendor == "sqlite":
            return f"The SQLite file {settings.DATABASES['default']['NAME']} cannot be opened: {said}."
        return f"The database that DATABASE_URL names does not let us in: {said}."
    return ""


def broker_trouble() -> str:
    """Whether the broker lets us in; nothing is wrong with having none."""
    if not settings.BROKER_URL:
        return ""
    broker = Connection(settings.BROKER_URL, connect_timeout=5)
    try:
        broker.connect()
    except (*broker.connection_errors, *broker.channel_errors) as exc:
        return f"The broker that BROKER_URL names ({_place(broker)}) does not let us in: {_said(exc)}."
    finally:
        broker.release()
    return ""


def _place(broker: Connection) -> str:
    return f"{broker.hostname}:{broker.port or 5672}, vhost {broker.virtual_host}"


def _said(exc: BaseException) -> str:
    text = str(getattr(exc, "strerror", None) or getattr(exc, "reply_text", None) or exc)
    return text.strip().rstrip(".") or type(exc).__name__
