"""Who asks: a token, else the session, with CSRF always enforced. A stranger gets a challenge, and so 401."""

from __future__ import annotations

from typing import Any

from rest_framework import authentication, exceptions
from rest_framework.request import Request

from .installed import has_tokens


class TokenAuthentication(authentication.TokenAuthentication):
    """`Authorization: Token …`, with the tokens of `rest_framework.authtoken`."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        """Refuse what can be no token before the database is asked, which can not even compare some of it."""
        if not (key.isascii() and key.isprintable()):
            raise exceptions.AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(key)


class SessionAuthentication(authentication.SessionAuthentication):
    """The browser's session."""

    def enforce_csrf(self, request: Request) -> None:
        """Check the plain request: the body is not parsed for somebody who may not send it."""
        try:
            super().enforce_csrf(request._request)  # type: ignore[arg-type]  # it takes whatever has META and POST
        except exceptions.PermissionDenied as exc:
            raise exceptions.PermissionDenied(str(exc.detail), code="csrf_failed") from exc

    def authenticate_header(self, request: Request) -> str:
        """A challenge, so that a stranger gets 401 where there are no tokens either."""
        return "Session"


def authentication_classes() -> tuple[type[authentication.BaseAuthentication], ...]:
    """What every view uses."""
    return (TokenAuthentication, SessionAuthentication) if has_tokens() else (SessionAuthentication,)


def name_of(user: Any) -> str:
    """The name under which a user owns sagas and acts on them."""
    return str(user.get_username())
