"""What every request that starts a saga has in common: its idempotency key, and the answer."""

from __future__ import annotations

from django.urls import reverse
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Saga
from .serializers import shown

IDEMPOTENCY_KEY = "Idempotency-Key"


def idempotency_key(request: Request) -> str | None:
    """The key under which the client sends it, perhaps again."""
    given: str | None = request.headers.get(IDEMPOTENCY_KEY)
    if given is not None and not (given.isascii() and given.isprintable() and given.strip()):
        raise ValidationError({IDEMPOTENCY_KEY: ["Expected printable ASCII."]})
    return given


def created(request: Request, saga: Saga) -> Response:
    """The body and the address: 201, or 200 when the idempotency key has started it before."""
    code = status.HTTP_201_CREATED if saga.was_created else status.HTTP_200_OK
    return Response(shown(saga), status=code, headers={"Location": _address(request, saga)})


def _address(request: Request, saga: Saga) -> str:
    """In the namespace under which the host has included the API."""
    namespace = request.resolver_match.namespace if request.resolver_match else "sagas-api"
    return reverse(f"{namespace}:saga-detail", kwargs={"id": saga.ulid})
