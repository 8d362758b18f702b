"""`manage.py saga_check`: audits the invariants on live data; exits 1 when one does not hold."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...definitions.ids import id_text, parse_id
from ...engine.check import Finding, check


class Command(BaseCommand):
    """See the module."""

    help = "Check that every saga's history tells a lawful story that ends in its rows."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("ids", nargs="*", help="only these sagas (ULID or UUID)")
        parser.add_argument("--alive", action="store_true", help="only sagas that have not ended")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line per violation and a last line with the counts."""
        ids = [_id(text) for text in options["ids"]]
        sagas = found = 0
        for item in check(ids=ids or None, alive_only=options["alive"]):
            if isinstance(item, Finding):
                found += 1
                self.stdout.write(f"{id_text(item.saga_id)} {item.violation}")
            else:
                sagas += item
        self.stdout.write(f"checked {sagas} sagas: {found} violations")
        if found:
            sys.exit(1)


def _id(text: str) -> UUID:
    found = parse_id(text)
    if found is None:
        raise CommandError(f"expected saga ids as ULID or UUID text, got {text!r:.80}")
    return found
