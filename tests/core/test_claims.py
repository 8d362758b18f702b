"""Which of the ready steps a worker takes, and which claims stand under the tokens of a submission."""

from __future__ import annotations

from sagas.core import triggers as t
from sagas.core.claims import TokenBook, handler_name, is_undo
from sagas.core.graph import Graph
from sagas.core.rows import StepRow
from sagas.core.states import StepStatus

from .build import ANNA, BERT, Driver, line, side_by_side, spec

S = StepStatus


def taken(driver: Driver, **offer: object) -> list[int]:
    return [claim.position for claim in driver.look(**offer)]  # type: ignore[arg-type]


def test_claim__as_many_as_there_are_slots():
    driver = Driver(side_by_side(3))

    assert taken(driver, slots=2) == [0, 1]
    assert taken(driver, slots=0) == []
    assert taken(driver) == [2]


def test_claim__tokens_are_given_out_once_each():
    driver = Driver(side_by_side(3))

    tokens = [claim.token for worker in (ANNA, BERT, ANNA) for claim in driver.look(worker, slots=1)]

    assert tokens == [1, 1, 2], "each worker counts for itself"


def test_claim__only_handlers_that_the_worker_knows():
    driver = Driver(side_by_side(3))

    assert taken(driver, handlers=frozenset({"do.b", "undo.a"})) == [1]


def test_claim__only_queues_that_the_worker_serves():
    driver = Driver(Graph([spec("a"), spec("b", queue="mail"), spec("c", queue="bank")]))

    assert taken(driver, queues=frozenset({"mail"})) == [1]
    assert taken(driver, queues=frozenset({""})) == [0]
    assert taken(driver, queues=None) == [2]


def test_claim__an_undo_needs_the_compensations_handler():
    driver = Driver(line(1))
    driver.end(t.InDoubt, driver.claim(), final=True)

    assert taken(driver, handlers=frozenset({"do.a"})) == []
    assert taken(driver, handlers=frozenset({"undo.a"})) == [0]


def test_claim__slots_for_actions_are_fewer_than_slots():
    """From two threads on, one is kept for compensations."""
    driver = Driver(side_by_side(2))

    assert taken(driver, slots=2, action_slots=1) == [0]
    assert taken(driver, slots=2, action_slots=0) == []


def test_claim__an_undo_may_take_the_slot_that_is_kept_for_it():
    driver = Driver(line(1))
    driver.end(t.InDoubt, driver.claim(), final=True)

    assert taken(driver, slots=1, action_slots=0) == [0]


def test_claim__one_step_that_crashed_a_worker_at_a_time():
    driver = Driver(side_by_side(3))
    driver.look(slots=2)
    driver.ask(t.WorkerLost(ANNA))

    assert taken(driver, crashed_slots=1) == [0, 2]
    assert taken(driver, crashed_slots=0) == []
    assert taken(driver, crashed_slots=1) == [1]


def test_claim__says_what_is_to_be_run():
    driver = Driver(line(1))
    (claim,) = driver.look()
    assert (claim.undo, claim.attempt, claim.round, claim.executed) == (False, 1, 1, False)

    driver.end(t.InDoubt, claim, final=True)
    (claim,) = driver.look()
    assert (claim.undo, claim.attempt, claim.round, claim.executed) == (True, 1, 1, False)


def test_claim__an_undo_knows_whether_the_action_completed():
    driver = Driver(line(2))
    driver.run(t.Completed)
    driver.ask(t.Compensate("op"))

    assert [claim.executed for claim in driver.look()] == [True]


def test_claim__counts_attempts_and_remembers_the_first_start():
    driver = Driver(line(1))
    driver.run(t.HandedBack)
    first = driver.steps[0].started_at
    driver.wait(9)
    driver.claim()

    step = driver.steps[0]
    assert (step.attempt, step.started_at, step.claimed_at) == (2, first, driver.now)


def test_standing__a_token_of_the_book_that_is_not_the_rows_stands_no_more():
    driver = Driver(line(1))
    book = TokenBook()
    (claim,) = driver.ask(t.Look(), driver.offer(), book=book).claims
    assert driver.ask(t.Look(), driver.offer(), book=book).claims == [claim]

    driver.end(t.HandedBack, claim)
    driver.look(BERT)

    assert driver.ask(t.Look(), driver.offer(), book=book).claims == []


def test_tokens__a_claim_whose_commit_was_lost_is_made_again_under_the_same_token():
    """Otherwise the process would not know by which token the claim is that may, or may not, have been committed."""
    driver = Driver(line(1))
    book = TokenBook()
    before = driver.snapshot()
    (lost,) = driver.ask(t.Look(), driver.offer(), book=book).claims
    driver.saga, driver.steps = before
    driver.history.pop()

    (again,) = driver.ask(t.Look(), driver.offer(), book=book).claims

    assert again == lost
    assert driver.steps[0].attempt == 1


def test_is_undo__from_executed_on():
    undo = {status for status in StepStatus if is_undo(StepRow(0, status))}

    assert undo == {S.COMPLETED, S.UNKNOWN, S.COMPENSATING, S.COMPENSATION_FAILED}


def test_handler_name__of_the_next_attempt():
    graph = line(1)

    assert handler_name(graph, StepRow(0, S.PENDING)) == "do.a"
    assert handler_name(graph, StepRow(0, S.COMPLETED)) == "undo.a"
