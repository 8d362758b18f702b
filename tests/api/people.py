"""Who calls the API in the tests: roles, and a client that calls with one's token."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from rest_framework.authtoken.models import Token

URL = "/api/sagas/"

#: What acts on sagas, all of it.
ACTING = (
    "compensate_saga", "retry_saga", "cancel_saga", "pause_saga", "steer_saga", "approve_saga", "resolve_saga",
    "signal_saga", "restart_saga",
)  # fmt: skip
#: Permissions by role; the boss is a superuser.
ROLES: dict[str, tuple[str, ...]] = {
    "owner": (),
    "other": (),
    "acting_owner": ACTING,
    "viewer": ("view_saga",),
    "compensator": ("view_saga", "compensate_saga"),
    "retrier": ("view_saga", "retry_saga"),
    "canceller": ("view_saga", "cancel_saga"),
    "pauser": ("view_saga", "pause_saga"),
    "steerer": ("view_saga", "steer_saga"),
    "approver": ("view_saga", "approve_saga"),
    "resolver": ("view_saga", "resolve_saga"),
    "signaller": ("view_saga", "signal_saga"),
    "restarter": ("view_saga", "restart_saga"),
    "blind": ACTING,
    "boss": (),
}


def person(role: str) -> User:
    """The user of that role, made when needed."""
    user, new = User.objects.get_or_create(username=role, defaults={"is_superuser": role == "boss"})
    if new:
        user.user_permissions.add(*Permission.objects.filter(codename__in=ROLES[role]))
    return user


class Caller:
    """Calls the API in one role; None is a stranger."""

    def __init__(self, role: str | None) -> None:
        self.client = Client()
        self.headers: dict[str, str] = {}
        if role is not None:
            token, _ = Token.objects.get_or_create(user=person(role))
            self.headers["Authorization"] = f"Token {token.key}"

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> HttpResponse:
        """Send `body` as JSON, or as it is when it is bytes. Headers are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Content-Type": "application/json"} | self.headers | named
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.generic(method, url, data, content_type=named.pop("Content-Type"), headers=named)

    def get(self, url: str = URL, **headers: str) -> HttpResponse:
        return self.send("GET", url, **headers)

    def post(self, url: str = URL, body: Any = None, **headers: str) -> HttpResponse:
        return self.send("POST", url, body, **headers)

    def start(self, name: str = "api_open", **context: Any) -> dict[str, Any]:
        """Start a saga and return its body."""
        response = self.post(URL, {"name": name, "context": context})
        assert response.status_code == 201, response.content
        return response.json()


def error_of(response: HttpResponse) -> dict[str, Any]:
    """The error in the one shape; fails when the answer has any other."""
    body = response.json()
    assert response["Content-Type"] == "application/json"
    assert set(body) == {"error"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    assert isinstance(body["error"]["message"], str)
    assert body["error"]["message"]
    return body["error"]


def names(sagas: Iterable[dict[str, Any]], field: str = "id") -> list[Any]:
    """One field of each body."""
    return [saga[field] for saga in sagas]
