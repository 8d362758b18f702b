"""What axe-core finds on a page: the script comes out of a locked package, nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Page

SCRIPT = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")


def load(page: Page) -> None:
    """Bring the script into the page, and end what moves: a colour that is on its way is none."""
    page.add_script_tag(content=SCRIPT)
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")


def findings(page: Page, *, only: str = "") -> list[str]:
    """What is serious or critical, one line for each place. `only`: by one rule."""
    # Preloading would fetch what stylesheets import, by addresses that are relative to the page.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": [only]} if only else {})
    found = page.evaluate("options => axe.run(document, options)", options)
    return [line for rule in found["violations"] if rule["impact"] in SERIOUS for line in _lines(rule)]


def _lines(rule: dict[str, Any]) -> list[str]:
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {_why(node)}" for node in rule["nodes"]
    ]


def _why(node: dict[str, Any]) -> str:
    return "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
