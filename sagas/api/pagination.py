"""Pages of sagas, newest first, by a cursor over the id: no count, and no page shifts while sagas start."""

from __future__ import annotations

from uuid import UUID

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class SagaPagination(CursorPagination):
    """A fixed page size: bodies carry payloads."""

    page_size = 20
    page_size_query_param = None
    cursor_query_param = "cursor"
    ordering = "-id"
    offset_cutoff = 1

    def decode_cursor(self, request: Request) -> Cursor | None:
        """A cursor that we did not make is a mistake in the request."""
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None:
                UUID(str(cursor.position))
        except (NotFound, ValueError) as exc:
            raise ValidationError({self.cursor_query_param: ["Expected a cursor from a list's link."]}) from exc
        return cursor
