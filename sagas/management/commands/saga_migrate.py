"""`manage.py saga_migrate`: moves sagas in flight to the graph of today's code."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...core.errors import SagaError
from ...definitions.ids import id_text
from ...engine.migrate import migrate, plan


class Command(BaseCommand):
    """See the module."""

    help = "Move sagas in flight to the graph of today's code, by a mapping of step names."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", help="the name of a definition")
        parser.add_argument("--from-version", required=True, metavar="X", help="of the sagas")
        parser.add_argument("--to-version", required=True, metavar="Y", help="of the definition in today's code")
        parser.add_argument(
            "--map", required=True, metavar="FILE", help='JSON: {"old step": "new step", "dropped step": null}'
        )
        parser.add_argument("--actor", default="", help="who does it (default: the user of the shell)")
        parser.add_argument("--reason", default="", help="why; kept in the history")
        parser.add_argument("--dry-run", action="store_true", help="print what would happen, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line per saga and a last line with the counts; exits 1 when a saga was skipped."""
        dry, counts = options["dry_run"], {True: 0, False: 0}
        try:
            migration = plan(
                options["name"],
                from_version=options["from_version"],
                to_version=options["to_version"],
                mapping=_mapping(Path(options["map"])),
                actor=options["actor"] or getpass.getuser(),
                reason=options["reason"],
            )
        except SagaError as exc:
            raise CommandError(str(exc)) from exc
        done = "would be moved" if dry else "moved"
        for move in migrate(migration, dry_run=dry):
            counts[not move.why] += 1
            self.stdout.write(f"{id_text(move.saga_id)} {f'skipped: {move.why}' if move.why else done}")
        self.stdout.write(f"{counts[True]} sagas {done}, {counts[False]} skipped")
        if counts[False] and not dry:
            sys.exit(1)


def _mapping(path: Path) -> dict[str, str | None]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise CommandError(f"--map: cannot read {path}: {exc}") from exc
    if not isinstance(found, dict) or not all(to is None or isinstance(to, str) for to in found.values()):
        raise CommandError(f"--map: expected a JSON object of step names (null: dropped) in {path}")
    return found
