"""The README's charts and its table of settings are those of the code."""

from __future__ import annotations

from sagas.core.chart import saga_chart, step_chart
from sagas.core.states import SAGA_EDGES, STEP_EDGES
from tests.docs.generated import README, rendered, settings_table


def test_readme__is_what_the_code_says() -> None:
    text = README.read_text()

    assert rendered(text) == text, "run: .venv/bin/python -m tests.docs.generated"


def test_charts__have_every_edge() -> None:
    text = README.read_text()

    for chart, edges in ((saga_chart(), SAGA_EDGES), (step_chart(), STEP_EDGES)):
        assert chart in text
        for (source, cause), targets in edges.items():
            for target in targets:
                line = next(line for line in chart.splitlines() if line.strip().startswith(f"{source} --> {target}:"))
                assert cause.value in line


def test_settings__are_all_described() -> None:
    for row in settings_table().splitlines()[2:]:
        name, _, meaning = (cell.strip() for cell in row.strip("|").split("|"))
        assert meaning, f"{name} has no comment in sagas/conf.py"
