"""The small explorations of the claim model, on every run of the suite; docs/claim-model.md says how to run the whole.

Budgets are chosen so that each takes a second or two: every pair of fault sorts meets in one of them.
"""

from __future__ import annotations

import pytest

from .claim_model import CONFIGURATIONS, MUTANTS, Budget, main
from .explore import STUCK, Exploration

NO_FAULT = Budget(0, 0, 0, 0, 0)
#: Crash or freeze, hint, operator, timeout, ambiguous commit, suspicion.
PAIRS = [
    Budget(crash=1, hint=0, operator=1, timeout=0, ambiguous=0),
    Budget(crash=1, hint=0, operator=0, timeout=1, ambiguous=0),
    Budget(crash=1, hint=0, operator=0, timeout=0, ambiguous=1),
    Budget(crash=0, hint=1, operator=1, timeout=1, ambiguous=1),
]


def what(found: Exploration) -> set[str]:
    """The sorts of violation, without the step's state."""
    return {text.split(" ", 1)[0] for text in found.violations}


@pytest.mark.parametrize("budget", PAIRS, ids=str)
@pytest.mark.parametrize("name", ["amended", "engine"])
def test_all_rules__no_schedule_breaks_an_invariant(name: str, budget: Budget):
    found = CONFIGURATIONS[name].explore(budget)

    assert found.exhaustive
    assert found.violations == {}
    assert found.states > 1000


def test_no_fault__the_saga_just_runs():
    found = CONFIGURATIONS["amended"].explore(NO_FAULT)

    assert found.violations == {}
    assert found.states == 30


@pytest.mark.parametrize(
    ("rule", "budget", "violation", "trace"),
    [
        (
            "sticky",
            Budget(crash=0, hint=0, operator=1, timeout=1, ambiguous=0),
            "I10 recorded as cancelled, but the effect is there",
            [
                "w0 claims d0 by sweep",
                "w0 starts d0",
                "w0 effect d0",
                "timeout of d0 in w0 (thread goes on)",
                "op compensate",
            ],
        ),
        (
            "zdrain",
            Budget(crash=0, hint=0, operator=0, timeout=1, ambiguous=0),
            "TWICE one handler of one step in two live threads",
            [
                "w0 claims d0 by sweep",
                "w0 starts d0",
                "timeout of d0 in w0 (thread goes on)",
                "w1 claims d0 by sweep",
                "w1 starts d0",
            ],
        ),
        (
            "resubmit",
            Budget(crash=1, hint=0, operator=1, timeout=0, ambiguous=1),
            "I10 recorded as cancelled, but the effect is there",
            [
                "w0 claims d0 by sweep",
                "w0 starts d0",
                "w0 effect d0",
                "ambiguous w0 d0=ok LOST",
                "op compensate",
                "w0 re-reads d0: revision moved, deemed applied",
                "w0 audit adopts d0",
                "freeze w0",
                "w0 found dead",
                "thaw w0",
                "w0 lease lapsed: hands back unstarted d0",
            ],
        ),
    ],
)
def test_one_rule_less__the_shortest_schedule_that_it_prevents(
    rule: str, budget: Budget, violation: str, trace: list[str]
):
    found = CONFIGURATIONS[f"less_{rule}"].explore(budget, stop_at_first=True)

    assert found.violations[violation].trace == trace


def test_less_audit__a_claim_that_nobody_remembers_is_stuck():
    found = CONFIGURATIONS["less_audit"].explore(Budget(0, 0, 0, 0, ambiguous=1))

    assert found.violations[STUCK].trace == [
        "w0 claims d0 by sweep",
        "w0 starts d0",
        "w0 effect d0",
        "ambiguous w0 d0=ok APPLIED",
    ]


def test_less_guard__a_late_start_reaches_a_participant_without_fence():
    """With a fence the participant refuses the late do: guard and fence are two walls before the same hole."""
    assert CONFIGURATIONS["early_guard"].explore().violations == {}

    found = CONFIGURATIONS["early_noguard"].explore()

    trace = found.violations["I9 compensated, net effect of a step in state G is not zero"].trace
    assert trace.index("thaw w0") < trace.index("w0 starts d0") < trace.index("w0 effect d0")


def test_no_fence__a_process_that_froze_in_the_handler_needs_the_participants_fence():
    found = CONFIGURATIONS["nofence_guard"].explore()

    assert set(found.violations) == {"I9 compensated, net effect of a step in state G is not zero"}


@pytest.mark.parametrize(
    ("mutant", "sorts"),
    [
        ("no_fencing", {"TWICE"}),
        ("undo_in_forward_order", {"I7"}),
        ("no_drain", {"I7"}),
        ("takeover_reruns_in_rollback", {"I6"}),
        ("timeout_is_no", {"I10"}),
    ],
)
def test_mutants__the_checks_can_fail(mutant: str, sorts: set[str]):
    assert mutant in MUTANTS

    assert what(CONFIGURATIONS[f"mutant_{mutant}"].explore(stop_at_first=True)) == sorts


def test_program__explores_what_is_named(capsys: pytest.CaptureFixture[str]):
    assert main(["early_guard"]) == 0

    assert "early_guard" in (out := capsys.readouterr().out)
    assert "no violation" in out


def test_program__unknown_name(capsys: pytest.CaptureFixture[str]):
    assert main(["nonsense"]) == 2

    assert "got nonsense" in capsys.readouterr().err
