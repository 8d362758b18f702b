"""Every error in one shape, `{"error": {"code", "message", "details"?}}`, whatever raised it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404
from django.http.request import UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.response import Response

from ..core.states import SagaState
from ..exceptions import (
    AnswerRefusedError,
    BadTokenError,
    DuplicateSagaError,
    LockHeldError,
    NotAllowedToApproveError,
    PayloadError,
    SagaError,
    SagaMovedError,
    SagaNotFoundError,
    StoreConflictError,
    StoreConnectionError,
    StoreDataError,
    TransitionNotAllowedError,
)

#: Seconds after which it is worth trying again when the database does not answer.
RETRY_AFTER = 5

_STATUS: Mapping[type[SagaError], int] = {
    PayloadError: status.HTTP_400_BAD_REQUEST,
    BadTokenError: status.HTTP_403_FORBIDDEN,
    NotAllowedToApproveError: status.HTTP_403_FORBIDDEN,
    SagaNotFoundError: status.HTTP_404_NOT_FOUND,
    AnswerRefusedError: status.HTTP_409_CONFLICT,
    SagaMovedError: status.HTTP_409_CONFLICT,
    TransitionNotAllowedError: status.HTTP_409_CONFLICT,
    LockHeldError: status.HTTP_409_CONFLICT,
    DuplicateSagaError: status.HTTP_422_UNPROCESSABLE_ENTITY,
}
_NO_ANSWER = (OperationalError, InterfaceError, StoreConnectionError, StoreConflictError)
#: Of an engine's error, what a client can use.
_SHOWN = ("revision", "state", "holder")


def error_response(
    status_code: int,
    code: str,
    message: str,
    *,
    details: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The one shape."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return Response({"error": error}, status=status_code, headers=dict(headers or {}))


def response_for(exc: Exception) -> Response | None:
    """The answer to a request that raised `exc`; None when that is a fault of ours."""
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.APIException):
        return _of_rest_framework(exc)
    if isinstance(exc, _NO_ANSWER):
        return _unavailable()
    if isinstance(exc, SagaError):
        return _of_engine(exc)
    return _of_request(exc)


def internal_error(request_id: str) -> Response:
    """A fault of ours: only the word under which it is logged."""
    return error_response(
        status.HTTP_500_INTERNAL_SERVER_ERROR,
        "internal",
        "the server failed; the reason is in its log under this request id",
        details={"request_id": request_id},
    )


def _of_rest_framework(exc: exceptions.APIException) -> Response:
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    detail = exc.detail
    if isinstance(detail, str):
        code = getattr(detail, "code", None) or exc.default_code
        return error_response(exc.status_code, code, str(detail), headers=headers)
    return error_response(exc.status_code, "invalid", _in_words(detail), details=detail, headers=headers)


def _in_words(detail: Any) -> str:
    """The first complaint about each field."""
    if isinstance(detail, Mapping):
        return "; ".join(f"{field}: {_in_words(complaints)}" for field, complaints in detail.items())
    if isinstance(detail, (list, tuple)):
        return _in_words(detail[0]) if detail else ""
    return str(detail)


def _unavailable() -> Response:
    return error_response(
        status.HTTP_503_SERVICE_UNAVAILABLE,
        "unavailable",
        "the database does not answer; send the same request again, with the same Idempotency-Key",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def _of_engine(exc: SagaError) -> Response | None:
    if isinstance(exc, StoreDataError) and isinstance(exc.__cause__, DataError):
        return error_response(
            status.HTTP_400_BAD_REQUEST, PayloadError.code, "the database can not store one of the values"
        )
    for kind, code in _STATUS.items():
        if isinstance(exc, kind):
            return error_response(code, exc.code, exc.message, details=_details(exc))
    return None


def _details(exc: SagaError) -> dict[str, Any]:
    found = {name: exc.details[name] for name in _SHOWN if name in exc.details}
    return {name: str(value) if isinstance(value, SagaState) else value for name, value in found.items()}


def _of_request(exc: Exception) -> Response | None:
    if isinstance(exc, RequestDataTooBig):
        return error_response(status.HTTP_400_BAD_REQUEST, "too_large", "the body is larger than this server accepts")
    if isinstance(exc, (SuspiciousOperation, UnreadablePostError)):
        return error_response(status.HTTP_400_BAD_REQUEST, "malformed", "the request can not be read")
    return None
