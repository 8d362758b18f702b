"""`manage.py saga_deploy_check`: exits 1 when sagas in flight would lose something that they still need."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from ...definitions.ids import id_text
from ...engine.deploy import Group, deploy_check


class Command(BaseCommand):
    """See the module."""

    help = "Compare this code with the sagas in flight: handlers, functions and definitions that they still need."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what would be lost, and a last line with the counts."""
        groups = deploy_check()
        sagas = sum(group.sagas for group in groups)
        losses = sum(len(group.losses) for group in groups)
        for group in groups:
            self._tell(group)
        if not losses:
            self.stdout.write(f"deploy check ok: {sagas} sagas in flight lose nothing")
            return
        self.stdout.write(f"deploy check failed: {losses} losses for sagas in flight, of which there are {sagas}")
        sys.exit(1)

    def _tell(self, group: Group) -> None:
        if group.losses:
            self.stdout.write(f"{group.name} {group.version} (graph {group.graph[:12]}): {group.sagas} in flight")
        for loss in group.losses:
            some = ", ".join(map(id_text, loss.some)) + (", …" if loss.sagas > len(loss.some) else "")
            self.stdout.write(f"    {loss.text}: {loss.sagas} sagas, {some}")
