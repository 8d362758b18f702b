"""The parts of README and docs that are drawn from the code. `python -m tests.docs.generated` writes them anew."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from pathlib import Path

import django

from sagas import conf
from sagas.core.chart import saga_chart, step_chart
from sagas.core.retry import RetryPolicy

README = Path(__file__).resolve().parents[2] / "README.md"
CLAIM_MODEL = README.parent / "docs" / "claim-model.md"
ADMIN = README.parent / "docs" / "admin.md"


def settings_table() -> str:
    """One row per setting: its default, and the comment above it in `sagas/conf.py`."""
    rows = ["| name | default | meaning |", "|---|---|---|"]
    comment = ""
    for line in inspect.getsource(conf.AppSettings).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            comment = f"{comment} {text[2:].strip()}".strip()
        elif match := re.match(r"([A-Z_]+): ", text):
            rows.append(f"| `{match[1]}` | {_default(match[1])} | {comment} |")
            comment = ""
    return "\n".join(rows)


def _default(name: str) -> str:
    value = conf.default(name)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, RetryPolicy):
        return f"{value.max_attempts} attempts, {value.base:g} s, then {value.factor:g} times as long, full jitter"
    return f"`{value!r}`"


def rendered(text: str) -> str:
    """The README with its generated parts as the code has them today."""
    for name, chart in (("saga", saga_chart()), ("step", step_chart())):
        pattern = rf"(<!-- chart: {name} -->\n```mermaid\n).*?(```)"
        text = re.sub(pattern, lambda match, chart=chart: f"{match[1]}{chart}\n{match[2]}", text, flags=re.DOTALL)
    return re.sub(
        r"(<!-- settings -->\n).*?(\n\n)", lambda match: match[1] + settings_table() + match[2], text, flags=re.DOTALL
    )


def filled(text: str, name: str, content: str) -> str:
    """A page with this in its generated part `name`. Raises `ValueError` where there is no such part."""
    begin, end = f"<!-- generated: {name} -->\n", "\n<!-- end -->"
    before, found, rest = text.partition(begin)
    _old, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"expected {begin.strip()} … {end.strip()}")
    return f"{before}{begin}{content}{end}{after}"


def pages() -> dict[Path, str]:
    """Every page with generated parts, as it should be today."""
    # Not above: these need the apps.
    from tests.admin import matrix
    from tests.families import rules

    return {
        README: rendered(README.read_text()),
        CLAIM_MODEL: filled(CLAIM_MODEL.read_text(), "rules", rules.table()),
        ADMIN: filled(ADMIN.read_text(), "permissions", matrix.table()),
    }


if __name__ == "__main__":
    django.setup()
    for page, text in pages().items():
        page.write_text(text)
