"""`fail_every_step`: what it tries, and that it finds each of the mistakes that participants are known for."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

from sagas import Rejected
from sagas.core import decide as core_decide
from sagas.core import triggers as t
from sagas.testing import FROZEN, WAYS, Report, SagaRun, Way, fail_every_step
from sagas.testing.run import run_saga

from . import bank, kit

EVERYTHING = [*WAYS, FROZEN]


def report(*bugs: str, **options: Any) -> Report:
    return fail_every_step(bank.Transfer, {}, invariant=bank.balanced, reset=lambda: bank.new_books(*bugs), **options)


def complaint(*bugs: str, **options: Any) -> str:
    with pytest.raises(AssertionError) as failed:
        report(*bugs, **options)
    return str(failed.value)


@pytest.fixture(autouse=True)
def _good_handlers() -> None:
    bank.BOOKS.bugs = set()


# -- what is tried ---------------------------------------------------------------------------------------------------


def test_report__every_step_in_every_way_and_every_compensation():
    found = report()

    assert found.count == len(found) == 1 + 3 * 5 + 2 * 5
    assert not found.not_reached
    tried = {(trial.step, trial.undo, trial.way) for trial in found}
    names = {way.name for way in WAYS}
    assert tried == {("", False, "nothing fails")} | {
        (step, undo, name)
        for name in names
        for step, undo in [("take", 0), ("look", 0), ("give", 0), ("take", 1), ("give", 1)]
    }


def test_report__each_failure_ends_where_it_should():
    ends = {(trial.step, trial.undo, trial.way): trial.state for trial in report()}

    assert ends["", False, "nothing fails"] == "completed"
    for step in ("take", "look", "give"):
        for way in ("rejected", "exception", "timeout"):
            assert ends[step, False, way] == "compensated"
        for way in ("crash before the effect", "crash after the effect"):
            assert ends[step, False, way] == "completed"
    assert {state for (_, undo, _), state in ends.items() if undo} == {"compensated"}


def test_report__reads_as_lines():
    lines = str(report(ways=WAYS[:1])).splitlines()

    assert lines == [
        "every step: nothing fails: completed",
        "take: rejected: compensated",
        "look: rejected: compensated",
        "give: rejected: compensated",
        "take.undo: rejected: compensated",
        "give.undo: rejected: compensated",
    ]


def test_report__says_what_was_not_reached():
    found = fail_every_step(bank.Transfer, {"blocked": True}, invariant=bank.balanced, reset=bank.new_books)

    assert {(trial.step, trial.undo) for trial in found.not_reached} == {("give", False), ("give", True)}
    assert str(found.not_reached[0]).endswith("(never called)")


def test_ways__with_a_fence():
    assert not report(ways=EVERYTHING).not_reached


def test_ways__of_your_own():
    found = report(ways=[Way("twice down", [RuntimeError("1"), None])])

    assert [trial.state for trial in found if not trial.undo] == ["completed"] * 4


def test_compensations__fail_in_a_rollback_that_another_step_causes():
    stories = []
    fail_every_step(bank.Transfer, invariant=lambda run: stories.append(run.story), ways=WAYS[:1], reset=bank.new_books)

    of_take, of_give = stories[-2:]
    assert "rejected (simulated: as fail_every_step wished): take compensating, give failed" in of_take
    assert "by test: while it runs" in of_give
    for story in (of_take, of_give):
        assert "held (debt)" in story
        assert "by test: the fault is gone" in story


def test_reset__comes_before_each_run():
    calls: list[int] = []

    found = fail_every_step(kit.Kept, reset=lambda: calls.append(1))

    assert len(calls) == len(found) == 1 + 2 * 5 + 5


def test_saga__without_rollback_and_without_steps():
    kept = fail_every_step(kit.Kept)
    none = fail_every_step("anything", steps=[])

    assert {trial.state for trial in kept if trial.way == "rejected" and not trial.undo} == {"failed"}
    assert [str(trial) for trial in none] == ["every step: nothing fails: completed"]


def test_atomic_steps__too():
    found = fail_every_step(kit.Order, {"total": 30})

    assert found.count == 1 + 4 * 5 + 3 * 5
    assert not found.not_reached


def test_log__is_not_flooded_with_what_was_wished_for(caplog: pytest.LogCaptureFixture):
    report()
    run_saga(bank.Transfer, fail={"take": RuntimeError("wished for")})
    assert caplog.records == []

    complaint("trusts the output")
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {TypeError}


# -- what it finds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bug", "case"),
    [
        ("no dedupe", "take fails: timeout"),
        ("trusts the output", "take fails: exception"),
        ("undo does nothing in doubt", "take fails: timeout"),
        ("undo is not idempotent", "take fails: exception"),
        ("loses money", "give fails: timeout"),
        ("no fence", "take fails: frozen before the effect, thawed at the end"),
    ],
)
def test_finds__the_mistake(bug: str, case: str):
    text = complaint(bug, ways=EVERYTHING)

    assert text.startswith(f"bank_transfer breaks when {case}")
    assert "What happened:\n   1      0:00:00  started\n" in text


def test_finds__what_only_one_way_shows():
    """Work that is done again under the same key, is seen when a worker dies between effect and record."""
    crashes = [way for way in WAYS if way.name.startswith("crash")]

    for bug, case in (
        ("no dedupe", "take fails: crash after the effect"),
        ("undo is not idempotent", "the compensation of take fails: crash after the effect (the saga rolls back"),
    ):
        assert complaint(bug, ways=crashes).startswith(f"bank_transfer breaks when {case}")


def test_finds__an_undo_that_never_works():
    text = complaint("trusts the output")

    assert "the saga has not ended, though an operator has retried it" in text
    assert "a person must look at the saga: debt" in text
    assert "The saga is compensating." in text


def test_finds__an_effect_after_the_undo_though_the_books_are_not_asked():
    with pytest.raises(AssertionError, match="a person must look at the saga: late_effect"):
        fail_every_step(bank.Transfer, ways=[FROZEN], reset=lambda: bank.new_books("no fence"))


@pytest.mark.parametrize(("found", "said"), [(False, "got False"), (["stock"], r"got \['stock'\]"), ([], r"got \[\]")])
def test_invariant__that_does_not_hold(found: Any, said: str):
    def books_balance(run: SagaRun) -> Any:
        return found

    with pytest.raises(AssertionError, match=rf"books_balance does not hold: expected True or None from it, {said}"):
        fail_every_step(bank.Transfer, invariant=books_balance, reset=bank.new_books)


def test_invariant__that_raises_something_else():
    def invariant(run: SagaRun) -> None:
        raise KeyError("stock")

    with pytest.raises(AssertionError, match=r"breaks when nothing fails\n\nKeyError: 'stock'") as failed:
        fail_every_step(bank.Transfer, invariant=invariant, reset=bank.new_books)
    assert isinstance(failed.value.__cause__, KeyError)


def test_invariant__true_will_do():
    assert fail_every_step(bank.Transfer, invariant=lambda run: True, reset=bank.new_books, ways=()).count == 1


# -- what it finds in the engine -------------------------------------------------------------------------------------


def test_finds__an_engine_that_counts_a_message_twice(monkeypatch: pytest.MonkeyPatch):
    """A result that is taken though its claim is not the current one."""
    really = core_decide._HANDLERS[t.Completed]

    def greedy(draft: Any, trigger: t.Completed) -> str:
        why = really(draft, trigger)
        if why:
            draft.step(trigger.position).tries += 1
        return ""

    monkeypatch.setitem(core_decide._HANDLERS, t.Completed, greedy)

    text = complaint()

    assert "bank_transfer breaks when nothing fails" in text
    assert "the message 'completed', submitted twice, changed the saga the second time" in text


def test_finds__an_engine_that_breaks_its_own_rules(monkeypatch: pytest.MonkeyPatch):
    """A rejection in doubt that is recorded as a sure no (I10)."""

    def sure(draft: Any, trigger: t.InDoubt) -> str:
        why = really(draft, trigger)
        if not why:
            draft.step(trigger.position).doubt = False
        return why

    really = core_decide._HANDLERS[t.InDoubt]
    monkeypatch.setitem(core_decide._HANDLERS, t.InDoubt, sure)
    monkeypatch.setattr("sagas.testing.every.audit", lambda saga, steps, entries: ["I0: nothing is lawful"])

    assert "I0: nothing is lawful" in complaint()


def test_engine__is_audited_after_each_run(monkeypatch: pytest.MonkeyPatch):
    audited: list[Any] = []
    monkeypatch.setattr("sagas.testing.every.audit", lambda saga, steps, entries: audited.append(saga) or [])

    assert len(report()) == len(audited)


class InUnittest(unittest.TestCase):
    """No plugin and no fixture is needed."""

    def test_transfer(self):
        found = fail_every_step(bank.Transfer, invariant=bank.balanced, reset=bank.new_books)

        assert found.count == 26
        assert not found.not_reached


def test_rejected__is_what_the_saga_says():
    codes = set()
    fail_every_step(bank.Transfer, invariant=lambda run: codes.add(run.error_code), reset=bank.new_books, ways=WAYS[:1])

    assert codes == {"", "simulated", "compensate"}
    assert isinstance(WAYS[0].failure, Rejected)
