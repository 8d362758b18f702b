"""Random families of sagas, any faults in any order, in memory and on PostgreSQL and SQLite.

Checked after every move, for the sagas that it touched (`laws.check`): I1 by the rows; I2, I5, I6, I7, I8, I10,
I11 (one claim per token), I12, I15 and I19 by the audit of the whole history; I17, one entry with actor and reason
for each wish of a person (`Town.wish`). As attempts begin (`Town._begin`): I11, no two live threads of one step,
and the limit of a limited action. As submissions are made again (`Town._again`): nothing counts twice. At the end
(`laws.check_books`): I1 (nothing is left but what somebody must look at), I3, I4, I9 over the participants' books,
and that each step that is a child saga is what its child is. I13, I14, I16 and I18 are about processes and the
broker: tests/worker, tests/crash.

Examples are derived from the test itself, so that every run sees the same.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sagas.store.memory import MemoryStore
from sagas.store.orm import OrmStore
from tests.store.database import empty

from .parts import Clock, Plan
from .plans import SCHEDULES, plans, run

SAME = settings(
    deadline=None,
    derandomize=True,
    database=None,
    # What is found is told as it was found: plan and log are short enough, and a run that has no end is not repeated.
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
FAULTS = st.integers(0, 25)
#: In a database, whose clock nobody moves, a minute is over at once.
AT_ONCE = plans(minute=1e-6)


@settings(SAME, max_examples=500)
@given(plans(), SCHEDULES, FAULTS)
def test_memory__every_move_holds_and_every_family_ends(plan: Plan, schedule: list[int], faults: int) -> None:
    clock = Clock()

    run(MemoryStore(clock), plan, schedule, faults, clock)


@settings(SAME, max_examples=5)
@given(AT_ONCE, SCHEDULES, FAULTS)
def test_postgres__every_move_holds_and_every_family_ends(
    pg: str, plan: Plan, schedule: list[int], faults: int
) -> None:
    empty(pg)

    run(OrmStore(pg), plan, schedule, faults)


@settings(SAME, max_examples=5)
@given(AT_ONCE, SCHEDULES, FAULTS)
def test_sqlite__every_move_holds_and_every_family_ends(
    lite: str, plan: Plan, schedule: list[int], faults: int
) -> None:
    empty(lite)

    run(OrmStore(lite), plan, schedule, faults)
