"""One rule of the engine switched off in place: the random families find it, and the law that says so is the one that
`rules.py` names. docs/claim-model.md has the table.

Each rule has a seed with which its schedule comes early, so that the whole file takes seconds; `MOST` bounds what a
change of the engine may make of that. Where one is not found any more, look for another seed before you look for
another law.
"""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings

from sagas.store.memory import MemoryStore

from . import rules
from .parts import Clock, Plan
from .plans import SCHEDULES, plans, run
from .test_families import FAULTS, SAME

#: Examples per rule: some ten seconds, and then it has not been found.
MOST = 500


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_one_rule_less__turns_its_law_red(monkeypatch: pytest.MonkeyPatch, rule: rules.Rule):
    @seed(rule.seed)
    @settings(SAME, derandomize=False, max_examples=MOST)
    @given(plans(), SCHEDULES, FAULTS)
    def families(plan: Plan, schedule: list[int], faults: int) -> None:
        clock = Clock()
        run(MemoryStore(clock), plan, schedule, faults, clock)

    rule.switch_off(monkeypatch)

    with pytest.raises(AssertionError) as broken:
        families()
    law = str(broken.value).partition(":")[0]
    assert law == rule.law, f"without {rule.name}, another law goes red: {broken.value}"


def test_rules__each_is_told() -> None:
    for rule in rules.RULES:
        assert rule.switch_off.__doc__, rule.name
        assert rule.sentence, rule.name
        assert rule.law in rules.LAWS, rule.name
    assert len({rule.name for rule in rules.RULES}) == len(rules.RULES)
