"""The API described for programs (OpenAPI 3), for whoever may use it. Imported only with drf-spectacular."""

from __future__ import annotations

from typing import Any

from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from rest_framework.request import Request
from rest_framework.response import Response

from .base import ApiView


class OurEndpoints(EndpointEnumerator):
    """The host's other views are none of our business."""

    def should_include_endpoint(self, path: str, callback: Any) -> bool:
        """Those of this package."""
        ours = issubclass(getattr(callback, "cls", object), ApiView)
        return ours and bool(super().should_include_endpoint(path, callback))


class OurGenerator(SchemaGenerator):
    """Describes this package's views."""

    endpoint_inspector_cls = OurEndpoints


class SchemaView(ApiView):
    """The description itself."""

    schema = None

    def get(self, request: Request) -> Response:
        """As JSON."""
        generator: Any = OurGenerator  # untyped
        return Response(generator().get_schema(request=request, public=True))
