"""The list, one saga, and the start of new ones: parse, ask the engine once, answer. No rule is here."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Saga
from . import reading
from .authentication import name_of
from .base import ApiView
from .filters import DjangoFilterBackend, SagaFilter
from .pagination import SagaPagination
from .permissions import startable, visible_to
from .serializers import SagaSerializer, StartSerializer, checked, shown
from .starting import created, idempotency_key
from .throttling import READ, START


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
        wish = checked(StartSerializer(data=request.data))
        definition = startable(request.user, wish["name"])
        saga = Saga.objects.start(
            definition,
            context=wish.get("context"),
            owner=name_of(request.user),
            idempotency_key=idempotency_key(request),
            request_id=self.request_id,
        )
        self.log("saga started over REST", "rest_start", saga)
        return created(request, saga)


class SagaView(ApiView):
    """One saga."""

    queryset = Saga.objects.none()
    serializer_class = SagaSerializer

    def get(self, request: Request, **kwargs: Any) -> Response:
        """The body."""
        return Response(shown(reading.find(request.user, kwargs["id"])))


class UnknownView(ApiView):
    """No such address."""

    schema = None
    http_method_names = []

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Whatever the method."""
        raise NotFound
