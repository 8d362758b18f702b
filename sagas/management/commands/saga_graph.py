"""`manage.py saga_graph`: prints a definition, or a saga with its statuses, as text, Mermaid, dot or SVG."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...core.drawing import FORMATS, Picture
from ...core.errors import SagaError
from ...definitions.ids import parse_id
from ...engine.picture import picture_of, picture_of_saga


class Command(BaseCommand):
    """See the module."""

    help = "Print a saga definition, or a saga in the database, as text, Mermaid, dot or SVG."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", nargs="?", help="the name of a definition")
        parser.add_argument("--saga", metavar="ID", help="instead: this saga (ULID or UUID), with its statuses")
        parser.add_argument("--format", choices=tuple(FORMATS), default="text")
        parser.add_argument(
            "--context", metavar="JSON", help="for a definition whose steps are a function of the context"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        try:
            picture = _picture(options["name"], options["saga"], options["context"])
        except SagaError as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(FORMATS[options["format"]](picture))


def _picture(name: str | None, saga: str | None, context: str | None) -> Picture:
    if (name is None) == (saga is None) or (saga is not None and context is not None):
        raise CommandError("expected the name of a definition (and --context), or --saga with an id")
    if saga is None:
        return picture_of(name or "", _context(context))
    found = parse_id(saga)
    if found is None:
        raise CommandError(f"expected a saga's id as ULID or UUID text, got {saga!r:.80}")
    return picture_of_saga(found)


def _context(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise CommandError(f"--context: expected a JSON object, got {text!r:.80} ({exc})") from exc
    if not isinstance(value, dict):
        raise CommandError(f"--context: expected a JSON object, got {text!r:.80}")
    return value
