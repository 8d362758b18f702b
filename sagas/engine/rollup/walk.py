"""The full count, slice by slice, while sagas go on.

A slice is counted as it was at the cursor, which is known exactly: the states that its sagas have in this snapshot,
taken back by what the snapshot holds of their histories behind the cursor. From then on the entries behind the cursor
count for these sagas, as for all before them; for sagas that the walk has not come to they do not.
"""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from ...core.states import SagaState
from ...models import Rollup, Saga
from . import groups
from .events import changing, entries, old_state
from .writing import Key, add_counts, end_recount

START = UUID(int=0)


def step(alias: str, row: Rollup, size: int) -> bool:
    """Count one slice; whether that was the last one. The caller saves the row."""
    begin, cursor = row.walk or START, row.cursor or 0
    sagas = Saga.objects.using(alias).filter(pk__gt=begin).order_by("pk")
    found = list(sagas.values_list("pk", "name", "version", "state", "attention")[:size])
    states = _states_at(alias, begin, cursor)
    counts: Counter[Key] = Counter()
    for key, name, version, state, _why in found:
        was = states.get(key, state)
        if was:
            counts[name, version, was] += 1
    add_counts(alias, Counter(), counts)
    last = found[-1][0] if len(found) == size else None
    if row.backfill is None:  # else its failure may still be counted
        late = set(entries(alias, cursor).filter(saga_id__gt=begin).values_list("saga_id", flat=True))
        groups.walk(alias, begin, last, [(key, state, why) for key, _n, _v, state, why in found], late)
    if last is not None:
        row.walk = last
        return False
    row.walk = None
    end_recount(alias)
    groups.settle(alias)
    return True


def _states_at(alias: str, begin: UUID, cursor: int) -> dict[UUID, str]:
    """Of sagas with entries behind the cursor, the state before the first of these; empty: they were not there."""
    late = changing(entries(alias, cursor)).filter(saga_id__gt=begin).annotate(old=old_state()).order_by("-seq")
    found = late.values_list("saga_id", "seq", "old")
    return {saga: "" if seq == 1 else old or SagaState.STARTED for saga, seq, old in found}
