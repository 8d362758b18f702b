"""The views: parse, ask the engine once, answer. No rule is here."""

from __future__ import annotations

import logging
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ..definitions.ids import parse_id
from ..models import Saga
from . import reading
from .authentication import name_of
from .base import ApiView, logger
from .filters import DjangoFilterBackend, SagaFilter
from .pagination import SagaPagination
from .permissions import COMPENSATE, RETRY, require, startable, visible_to
from .serializers import OperateSerializer, RequestSerializer, SagaSerializer, StartSerializer
from .throttling import OPERATE, READ, START

IDEMPOTENCY_KEY = "Idempotency-Key"


class SagaListView(ApiView):
    """The sagas that you may see, newest first; and the start of new ones."""

    queryset = Saga.objects.none()
    serializer_class = SagaSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = SagaFilter
    pagination_class = SagaPagination

    @property
    def throttle_scope(self) -> str:  # type: ignore[override]  # the rate of a start is not that of a look
        """By what is asked."""
        return START if self.request.method == "POST" else READ

    def get_queryset(self) -> QuerySet[Saga]:
        """Those that exist for the user."""
        return reading.narrow(visible_to(self.request.user))

    def get(self, request: Request) -> Response:
        """A page."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        shown: Any = reading.bodies(page or [])
        return self.get_paginated_response(SagaSerializer(shown, many=True).data)

    def post(self, request: Request) -> Response:
        """Start one: 201, or 200 when the idempotency key has started it before."""
        wish = _checked(StartSerializer(data=request.data))
        definition = startable(request.user, wish["name"])
        saga = Saga.objects.start(
            definition,
            context=wish.get("context"),
            owner=name_of(request.user),
            idempotency_key=_idempotency_key(request),
            request_id=self.request_id,
        )
        _log("saga started over REST", "rest_start", saga, self)
        code = status.HTTP_201_CREATED if saga.was_created else status.HTTP_200_OK
        return Response(_shown(saga), status=code, headers={"Location": _address(request, saga)})


class SagaView(ApiView):
    """One saga."""

    queryset = Saga.objects.none()
    serializer_class = SagaSerializer

    def get(self, request: Request, **kwargs: Any) -> Response:
        """The body."""
        return Response(_shown(_visible(request, kwargs["id"])))


class OperateView(ApiView):
    """Base of what is asked for in a person's name."""

    queryset = Saga.objects.none()
    serializer_class = SagaSerializer
    throttle_scope = OPERATE
    #: The permission that it takes.
    needed = ""

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """Ask the engine."""
        raise NotImplementedError

    def post(self, request: Request, **kwargs: Any) -> Response:
        """The body as it is after it; 409 when the saga moved or does not allow it."""
        saga = _visible(request, kwargs["id"])
        require(request.user, self.needed)
        wish = _checked(OperateSerializer(data=request.data))
        changed = self.operate(saga, actor=name_of(request.user), **wish)
        _log("saga operated over REST", f"rest_{self.needed.partition('.')[2]}", changed, self)
        return Response(_shown(changed))


class CompensateView(OperateView):
    """Roll a saga back."""

    needed = COMPENSATE

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.compensate`."""
        return saga.compensate(**wish)


class RetryView(OperateView):
    """Run now, with a fresh budget, what is stuck in a saga."""

    needed = RETRY

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.retry`."""
        return saga.retry(**wish)


class UnknownView(ApiView):
    """No such address."""

    schema = None
    http_method_names = []

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Whatever the method."""
        raise NotFound


def _checked(serializer: RequestSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    found: dict[str, Any] = serializer.validated_data
    return found


def _visible(request: Request, text: str) -> Saga:
    key = parse_id(text)
    saga = None if key is None else reading.narrow(visible_to(request.user)).filter(pk=key).first()
    if saga is None:
        raise NotFound("there is no such saga, or it is not yours to see")
    return saga


def _shown(saga: Saga) -> Any:
    return SagaSerializer(reading.body(saga)).data


def _idempotency_key(request: Request) -> str | None:
    given: str | None = request.headers.get(IDEMPOTENCY_KEY)
    if given is not None and not (given.isascii() and given.isprintable() and given.strip()):
        raise ValidationError({IDEMPOTENCY_KEY: ["Expected printable ASCII."]})
    return given


def _address(request: Request, saga: Saga) -> str:
    """In the namespace under which the host has included the API."""
    namespace = request.resolver_match.namespace if request.resolver_match else "sagas-api"
    return reverse(f"{namespace}:saga-detail", kwargs={"id": saga.ulid})


def _log(message: str, action: str, saga: Saga, view: ApiView) -> None:
    extra = {"action": action, "saga_id": saga.ulid, "actor": name_of(view.request.user)}
    logger.log(logging.INFO, message, extra={**extra, "request_id": view.request_id})
