"""The README's charts and its table of settings are those of the code, and so are the tables of the other pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagas.core.chart import saga_chart, step_chart
from sagas.core.states import SAGA_EDGES, STEP_EDGES
from tests.docs.generated import ADMIN, CLAIM_MODEL, README, filled, pages, settings_table

PAGES = (README, CLAIM_MODEL, ADMIN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page__is_what_the_code_says(page: Path) -> None:
    again = "run: DJANGO_SETTINGS_MODULE=sagaproject.settings .venv/bin/python -m tests.docs.generated"

    assert pages()[page] == page.read_text(), again


def test_page__each_is_compared() -> None:
    assert set(pages()) == set(PAGES)


def test_filled__where_nothing_is_to_be_filled() -> None:
    assert filled("a\n<!-- generated: x -->\nold\n<!-- end -->\nz", "x", "new") == (
        "a\n<!-- generated: x -->\nnew\n<!-- end -->\nz"
    )
    with pytest.raises(ValueError, match="generated: x"):
        filled("a", "x", "new")


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
