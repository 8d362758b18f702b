"""Fixtures of the admin's tests: a client per role, and addresses."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from sagas.engine.rollup import horizon

#: What each role may do. None = nobody is logged in; "all" = a superuser.
ROLES: dict[str, list[str] | str | None] = {
    "anonymous": None,
    "staff": [],
    "viewer": ["view_saga"],
    "compensator": ["view_saga", "compensate_saga"],
    "retrier": ["view_saga", "retry_saga"],
    "canceller": ["view_saga", "cancel_saga"],
    "pauser": ["view_saga", "pause_saga"],
    "steerer": ["view_saga", "steer_saga"],
    "approver": ["view_saga", "approve_saga"],
    "resolver": ["view_saga", "resolve_saga"],
    "restarter": ["view_saga", "restart_saga"],
    "signaller": ["view_saga", "signal_saga"],
    "starter": ["view_saga", "start_saga"],
    "revealer": ["view_saga", "reveal_saga"],
    "blind": [
        "compensate_saga", "retry_saga", "cancel_saga", "pause_saga", "steer_saga", "approve_saga", "resolve_saga",
        "restart_saga", "signal_saga", "start_saga", "reveal_saga",
    ],
    "superuser": "all",
}  # fmt: skip


@pytest.fixture(autouse=True)
def complete_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting waits for nobody: what a thread before this test has left open writes nothing any more."""
    monkeypatch.setattr(horizon, "_writers", lambda alias: frozenset())


@pytest.fixture
def client_of(db: None) -> Callable[[str], Client]:
    """A client that is logged in as a role."""

    def make(role: str) -> Client:
        client, rights = Client(), ROLES[role]
        if rights is None:
            return client
        user = User.objects.create(username=role, is_staff=True, is_superuser=rights == "all")
        if isinstance(rights, list):
            user.user_permissions.add(*Permission.objects.filter(codename__in=rights))
        client.force_login(user)
        return client

    return make


@pytest.fixture
def operator(client_of: Callable[[str], Client]) -> Client:
    """A superuser's client."""
    return client_of("superuser")
