"""What a user may: see, start, act. Asked by the views; whether the saga allows it is the engine's answer.

An owner sees their own sagas, `sagas.view_saga` sees all. Acting takes a permission of its own, owner or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from rest_framework import exceptions, permissions
from rest_framework.request import Request

from ..conf import app_settings
from ..definitions.definition import AUTHENTICATED
from ..definitions.registry import registry
from ..engine.may import may, permission
from ..models import Saga
from .authentication import name_of

if TYPE_CHECKING:
    from rest_framework.views import APIView

    from ..definitions.definition import SagaDefinition

VIEW = "sagas.view_saga"


class IsKnown(permissions.IsAuthenticated):
    """Logged in, under a name: what nobody owns would belong to a user without one."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the user may use the API at all."""
        return bool(super().has_permission(request, view) and name_of(request.user))


class HasToken(permissions.AllowAny):
    """Anybody may come: the engine asks for the token, which is all the authority there is."""


def visible_to(user: Any) -> QuerySet[Saga]:
    """The sagas that exist for this user."""
    sagas: QuerySet[Saga] = Saga.objects.using(app_settings().DATABASE)
    return sagas if user.has_perm(VIEW) else sagas.filter(owner=name_of(user))


def startable(user: Any, name: str) -> type[SagaDefinition]:
    """The definition of that name, if the user may start it over REST.

    Unknown, not meant for REST and not permitted are one answer: nobody can list the definitions by trying.
    """
    definition = registry.definitions.get(name)
    if definition is None or not _permits(definition.rest_permission, user):
        raise exceptions.PermissionDenied(
            "expected the name of a saga that you may start over REST; this is none", code="not_startable"
        )
    return definition


def _permits(needed: object, user: Any) -> bool:
    # An empty name would be granted to superusers by Django.
    if not isinstance(needed, str) or not needed:
        return False
    return needed == AUTHENTICATED or bool(user.has_perm(needed))


def require(user: Any, verb: str, name: str) -> None:
    """Refuse a user who may not do this to sagas of that name."""
    if not may(user, verb):
        raise exceptions.PermissionDenied(f"expected the permission {permission(verb)}, you do not have it")
    if not may(user, verb, name):
        raise exceptions.PermissionDenied(f"expected somebody who may {verb} sagas {name!r}, you may not")
