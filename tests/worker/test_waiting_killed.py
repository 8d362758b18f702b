"""kill -9 of the worker process while its saga branches, waits, fans out and is answered: it goes on where it was."""

from __future__ import annotations

from itertools import cycle

import pytest

from sagas.engine.answer import complete_step

from .conftest import ended, fresh, statuses
from .test_program import Program, _known, on_pg  # noqa: F401 - fixtures
from .test_waiting import kinds, waiting

POINTS = [
    "claim_before_commit:3",
    "claim_after_commit:1",
    "claim_after_commit:3",
    "result_before_commit.do:1",
    "result_before_commit.do:4",
    "result_after_commit.do:2",
    "result_after_commit.do:6",
    "group_before_write:2",
    "group_before_write:8",
    "group_after_write:5",
    "before_handler.do:1",
    "after_handler.do:4",
    "inline_claim.do:2",
    "sweep:2",
]


# What is killed has run before the last step says how it ends: of each point one of the two will do.
@pytest.mark.parametrize(("point", "ends"), list(zip(POINTS, cycle(["completed", "compensated"]), strict=False)))
def test_killed_at__goes_on_where_it_was(on_pg: Program, point: str, ends: str) -> None:  # noqa: F811
    context = {"items": [1, 2], "reject": "last" if ends == "compensated" else ""}
    saga = on_pg.saga("waits", **context)
    saga.signal("paid", {"amount": 3})  # early: kept until its step is reached
    on_pg.start("--threads", "2", SAGAS_CRASH_AT=f"{point}:{on_pg.files / 'killed'}", SAGAS_LEASE="600")
    try:
        waiting(saga, "ask")
    except AssertionError:
        raise AssertionError(f"{statuses(saga)} {on_pg.told} {on_pg.said[-3000:]}") from None

    complete_step((on_pg.files / "token").read_text(), {"id": 1})

    assert ended(saga, within=40)[0].state == ends
    assert (on_pg.files / "killed").exists(), "the crash point was not passed"
    assert statuses(saga)["never"] == "skipped"
    outputs = dict(fresh(saga).steps.values_list("name", "output"))
    assert (outputs["paid"], outputs["each"], len(outputs)) == (
        {"amount": 3},
        [{"by": "each[0]"}, {"by": "each[1]"}],
        9,
    )
    assert kinds(saga).count("answered") == kinds(saga).count("signal") == kinds(saga).count("opened_out") == 1
    undone = {line.split()[1] for line in on_pg.told if line.startswith("undo")}
    assert undone == (set() if ends == "completed" else {"always", "each[0]", "each[1]", "ask"})


def test_every_point_is_known() -> None:
    from sagas import crash

    assert {point.split(":")[0].split(".")[0] for point in POINTS} <= set(crash.POINTS)
