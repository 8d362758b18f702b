"""`ApiView`: what all views have in common. Every policy is set here, none comes from the host's settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.core.signals import got_request_exception
from django.db import connections, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import BasePagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Saga
from . import request_id as request_ids
from .authentication import authentication_classes, name_of
from .errors import internal_error, response_for
from .formats import Negotiation, Parser, Renderer
from .installed import has_openapi
from .permissions import IsKnown
from .throttling import READ, ScopeThrottle

logger = logging.getLogger("sagas.api")


def _schema() -> Any:
    if not has_openapi():
        return None
    from .openapi import ApiSchema

    return ApiSchema()


class ApiView(GenericAPIView[Any]):
    """A view of the API. A host that needs its own rates or permissions gives them to `as_view`."""

    authentication_classes = authentication_classes()
    permission_classes: tuple[type[BasePermission], ...] = (IsKnown,)
    throttle_classes = (ScopeThrottle,)
    parser_classes = (Parser,)
    renderer_classes = (Renderer,)
    content_negotiation_class = Negotiation
    metadata_class = None
    versioning_class = None
    pagination_class: type[BasePagination] | None = None
    filter_backends: Sequence[Any] = ()
    http_method_names = ["get", "head", "post"]
    schema = _schema()

    throttle_scope = READ
    request_id = ""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """No transaction around the request: an answer is given after the engine's own commit."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer under a request id."""
        self.request_id = request_ids.chosen(request.headers.get(request_ids.HEADER))
        with request_ids.answering(self.request_id):
            return super().dispatch(request, *args, **kwargs)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """On every answer, errors included."""
        headers = super().default_response_headers
        return {**headers, request_ids.HEADER: self.request_id, "Cache-Control": "no-store"}

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Never the host's."""
        return self._answer_to

    def log(self, message: str, action: str, saga: Saga) -> None:
        """One line for what was done, with who asked for it."""
        user = self.request.user
        actor = name_of(user) if user is not None and user.is_authenticated else ""
        logger.info(
            message, extra={"action": action, "saga_id": saga.ulid, "actor": actor, "request_id": self.request_id}
        )

    def _answer_to(self, exc: Exception, context: dict[str, Any]) -> Response:
        response = response_for(exc)
        if response is None:
            self._report(exc)
            return internal_error(self.request_id)
        level = logging.ERROR if response.status_code >= 500 else logging.INFO
        # Of what the database says only the kind: its text may hold names and values.
        why = {"code": response.data["error"]["code"], "error": type(exc).__name__}
        extra = self._extra(action="request_refused", status=response.status_code, **why)
        logger.log(level, "request refused", extra=extra)
        return response

    def _report(self, exc: Exception) -> None:
        """As Django does with an exception that leaves a view: to the log and to whoever listens for it."""
        logger.error("request failed", exc_info=exc, extra=self._extra(action="request_failed"))
        got_request_exception.send(sender=type(self), request=self.request._request)

    def _extra(self, **known: Any) -> dict[str, Any]:
        request: Request = self.request
        return {**known, "request_id": self.request_id, "method": request.method, "path": request.path}
