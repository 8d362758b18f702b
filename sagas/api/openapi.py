"""What OpenAPI says of the views, by drf-spectacular. Imported only where that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular import authentication
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from ..engine.may import permission
from . import serializers, wishes
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
_ANSWER = ("AnswerView", "POST")


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
    _ANSWER: _Operation(
        "sagas_answer",
        "The work behind a waiting step is done (`output`), or surely is not (`error`). The signed token is all the "
        "authority: 403 when it is none of ours. 200 for the same answer again; 409 when it comes too late, or "
        "contradicts an earlier one.",
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
        start = [_KEY] if self._starts else []
        return [_REQUEST_ID, *start, *([_ID] if "{id}" in self.path else [])]

    def get_request_serializer(self) -> Any:
        """What is sent."""
        # A view of a verb says so itself; its class can not be imported here: it would be a circle.
        if wish := getattr(self.view, "wish", None):
            return wish
        return wishes.AnswerSerializer if self._asked == _ANSWER else serializers.StartSerializer

    def get_response_serializers(self) -> Any:
        """The one body, and the one shape of all errors."""
        if self._asked == _ANSWER:
            return {200: wishes.AnsweredSerializer} | self._errors(without=401)
        listed = self._asked == ("SagaListView", "GET")
        found: dict[int, Any] = {200: serializers.SagaSerializer(many=listed)}
        if self._starts:
            found[201] = serializers.SagaSerializer
        return found | self._errors()

    def _errors(self, *, without: int = 0) -> dict[int, Any]:
        errors = sorted({*_ALWAYS, *self._operation.errors} - {without})
        return dict.fromkeys(errors, serializers.ErrorSerializer)

    @property
    def _starts(self) -> bool:
        return self._asked == _START or getattr(self.view, "creates", False)

    @property
    def _asked(self) -> tuple[str, str]:
        # A host may have made a class of its own from ours.
        names = (base.__name__ for base in type(self.view).__mro__)
        return next(((name, self.method) for name in names if (name, self.method) in _OPERATIONS), ("", self.method))

    @property
    def _operation(self) -> _Operation:
        view: Any = self.view
        if hasattr(view, "wish"):
            text = f"{view.means} Needs `{permission(view.verb())}`."
            errors = (400, 404, 409, 415, *((422,) if view.creates else ()))
            return _Operation(f"sagas_{view.verb()}", text, errors)
        return _OPERATIONS[self._asked]
