"""What OpenAPI says of the views, by drf-spectacular. Imported only where that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular import authentication
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from . import serializers
from .request_id import HEADER

_HEADER: Final = "header"
_REQUEST_ID = OpenApiParameter(HEADER, str, _HEADER, description="Printable ASCII; kept with the saga and sent back.")
_ID = OpenApiParameter("id", str, OpenApiParameter.PATH, description="The saga's id, as ULID or UUID.")
_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    _HEADER,
    description="The same key with the same body starts one saga, however often it is sent.",
)
_ALWAYS = (401, 403, 429, 503)
_START = ("SagaListView", "POST")


@dataclass(frozen=True)
class _Operation:
    """One method of one view."""

    name: str
    description: str
    errors: Sequence[int]


_OPERATIONS: Mapping[tuple[str, str], _Operation] = {
    ("SagaListView", "GET"): _Operation("sagas_list", "The sagas that you may see, newest first.", (400,)),
    _START: _Operation(
        "sagas_start",
        "Start a saga: 201, or 200 when its idempotency key started it before.",
        (400, 415, 422),
    ),
    ("SagaView", "GET"): _Operation("sagas_get", "One saga with its steps.", (404,)),
    ("CompensateView", "POST"): _Operation(
        "sagas_compensate",
        "Roll a saga back. 409 when it has moved, or when its state does not allow it.",
        (400, 404, 409, 415),
    ),
    ("RetryView", "POST"): _Operation(
        "sagas_retry",
        "Run now, with a fresh budget, what is stuck. 409 when the saga has moved, or when nothing is.",
        (400, 404, 409, 415),
    ),
}


class SessionScheme(authentication.SessionScheme):  # type: ignore[no-untyped-call]  # registers itself
    """Our session authentication is described as the one it comes from."""

    target_class = "sagas.api.authentication.SessionAuthentication"


class ApiSchema(AutoSchema):
    """What can not be read off the views."""

    def get_tags(self) -> list[str]:
        """One group."""
        return ["sagas"]

    def get_operation_id(self) -> str:
        """A name that does not depend on where the host includes the API."""
        return self._operation.name

    def get_description(self) -> str:  # type: ignore[override]  # as AutoSchema has it
        """For those who read the description and not the code."""
        return self._operation.description

    def get_override_parameters(self) -> list[Any]:
        """Headers, and the id in its two spellings."""
        start = [_KEY] if self._asked == _START else []
        return [_REQUEST_ID, *start, *([_ID] if "{id}" in self.path else [])]

    def get_request_serializer(self) -> Any:
        """What is sent."""
        return serializers.StartSerializer if "{id}" not in self.path else serializers.OperateSerializer

    def get_response_serializers(self) -> Any:
        """The one body, and the one shape of all errors."""
        listed = self._asked == ("SagaListView", "GET")
        found: dict[int, Any] = {200: serializers.SagaSerializer(many=listed)}
        if self._asked == _START:
            found[201] = serializers.SagaSerializer
        errors = sorted({*_ALWAYS, *self._operation.errors})
        return found | dict.fromkeys(errors, serializers.ErrorSerializer)

    @property
    def _asked(self) -> tuple[str, str]:
        # A host may have made a class of its own from ours.
        names = (base.__name__ for base in type(self.view).__mro__)
        return next((name, self.method) for name in names if (name, self.method) in _OPERATIONS)

    @property
    def _operation(self) -> _Operation:
        return _OPERATIONS[self._asked]
