"""The parts of the README that are drawn from the code. `python -m tests.docs.generated` writes them anew."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from pathlib import Path

from sagas import conf
from sagas.core.chart import saga_chart, step_chart
from sagas.core.retry import RetryPolicy

README = Path(__file__).resolve().parents[2] / "README.md"


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


if __name__ == "__main__":
    README.write_text(rendered(README.read_text()))
