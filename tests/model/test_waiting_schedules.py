"""Schedules by which the model of waiting steps broke the engine as it was, played in both stores: an answer is faster
than its handler, whose thread goes on."""

from __future__ import annotations

from sagas.core import triggers as t
from sagas.core.claims import Claim
from sagas.core.states import SagaState, StepStatus
from sagas.store.base import Store, Verdict
from tests.core.build import ANNA, BERT

from .stage import Stage
from .waiting_world import waiting_graph

S = StepStatus


def answered(play: Stage, claim: Claim) -> None:
    """The service says that it is done, while the handler that has asked it still runs."""
    result = play.tell(t.Answer(claim.position, claim.round, claim.attempt, claim.undo, True, "yes"))
    assert result.verdict is Verdict.APPLIED


def test_timeout_of_an_answered_attempt__its_thread_still_runs(store: Store):
    """claims do > asks > letter yes > timeout of do (thread goes on) > op compensate > claims undo."""
    play = Stage(store, waiting_graph())
    claim = play.claim(ANNA)
    answered(play, claim)

    assert play.end(t.InDoubt, claim, ANNA, code="timeout", thread_alive=True).verdict is Verdict.IGNORED

    play.tell(t.Compensate("op"))
    assert play.look(BERT) == []
    play.end(t.ThreadEnded, claim, ANNA)
    assert play.claim(BERT).undo
    play.check()


def test_answered_undo_and_the_next_round__waits_for_the_undos_thread(store: Store):
    """… op rewind > claims undo > asks > letter yes > claims do of the next round."""
    play = Stage(store, waiting_graph())
    play.end(t.Completed, play.claim(ANNA), ANNA)
    play.tell(t.Rewind("op", position=0))
    undo = play.claim(ANNA)
    assert undo.undo
    answered(play, undo)
    assert (play.state, play.rows[1][0].round, play.statuses[0]) == (SagaState.STARTED, 2, S.PENDING)

    assert play.look(BERT) == []

    assert play.end(t.Waits, undo, ANNA).verdict is Verdict.IGNORED
    claim = play.claim(BERT)
    assert (claim.undo, claim.round) == (False, 2)
    play.check()


def test_answered_undo_and_the_next_round__a_dead_process_has_no_threads(store: Store):
    play = Stage(store, waiting_graph())
    play.end(t.Completed, play.claim(ANNA), ANNA)
    play.tell(t.Rewind("op", position=0))
    answered(play, play.claim(ANNA))

    play.tell(t.WorkerLost(ANNA))

    assert play.claim(BERT).round == 2
    play.check()
