"""Moving a saga to another graph: what has begun stays what it was, and the history goes on telling of the rows."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.core import triggers as t
from sagas.core.audit import audit
from sagas.core.decide import Decision, decide, ready
from sagas.core.errors import DefinitionError, SagaError, TransitionNotAllowedError
from sagas.core.graph import Graph, Policy, StepSpec
from sagas.core.migrate import places
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import Hold, SagaState, StepStatus, Wait

from .build import EPOCH, Driver, diamond, gate, line, spec

SAME = {"a": "a", "b": "b", "c": "c"}


def attempt(driver: Driver, kind: type[t.AttemptTrigger]) -> None:
    """The next attempt, when it is due."""
    driver.wait(1000)
    driver.run(kind)


def open_now(driver: Driver) -> list[int]:
    """What could be claimed, sooner or later."""
    driver.wait(1000)
    return [step.position for step in ready(driver.saga, driver.steps, driver.now)]


def driven(graph: Graph, *outcomes: type[t.AttemptTrigger]) -> Driver:
    """A saga whose attempts ended so, one after the other."""
    driver = Driver(graph)
    for kind in outcomes:
        attempt(driver, kind)
    return driver


def moved(driver: Driver, target: Graph, mapping: dict[str, str | None]) -> Graph:
    """Migrate, and check that the history is still lawful."""
    before = driver.saga.graph
    driver.ask(t.Migrate("op", "why", None, target, mapping, "2"))
    told = [replace(entry, graph=before) if entry.kind == "migrate" else entry for entry in driver.history]
    assert driver.history[-1].data is not None
    assert driver.history[-1].data["graph"] == before.hash
    assert audit(driver.saga, driver.steps, told) == []
    return driver.saga.graph


def refused(driver: Driver, target: Graph, mapping: dict[str, str | None]) -> str:
    with pytest.raises(TransitionNotAllowedError) as caught:
        driver.ask(t.Migrate("op", "why", None, target, mapping, "2"))
    return caught.value.message


def test_the_same_steps_with_other_handlers() -> None:
    driver = driven(line(3), t.Completed)
    target = Graph([replace(found, action=f"new.{found.name}") for found in line(3).steps])

    graph = moved(driver, target, SAME)

    assert [found.action for found in graph.steps] == ["do.a", "new.b", "new.c"]


def test_what_has_begun_keeps_its_compensation_and_its_policy() -> None:
    driver = driven(line(3), t.Completed, t.InDoubt)
    target = Graph([spec("a", no_compensation="x"), spec("b", 0, timeout=9.0), spec("c", 1, timeout=9.0)])

    graph = moved(driver, target, SAME)

    assert [found.compensation for found in graph.steps] == ["undo.a", "undo.b", "undo.c"]
    assert [found.timeout for found in graph.steps] == [60.0, 60.0, 9.0]
    assert driver.steps[1].doubt


def test_a_new_step_stands_behind_the_others_and_waits_for_what_it_needs() -> None:
    driver = driven(line(2), t.Completed)
    target = Graph([spec("a"), spec("new", 0), spec("b", 1)])

    graph = moved(driver, target, {"a": "a", "b": "b"})

    assert [found.name for found in graph.steps] == ["a", "b", "new"]
    assert [found.depends_on for found in graph.steps] == [(), (2,), (0,)]
    assert open_now(driver) == [2]
    attempt(driver, t.Completed)
    attempt(driver, t.Completed)
    assert driver.saga.state is SagaState.COMPLETED


def test_a_new_step_before_what_has_begun() -> None:
    driver = driven(line(2), t.Completed)

    text = refused(driver, Graph([spec("new"), spec("a", 0), spec("b", 1)]), {"a": "a", "b": "b"})

    assert text == "cannot migrate: step 'a' has begun, and 'new' would come before it"


def test_an_old_step_that_has_not_passed_before_what_has_begun() -> None:
    driver = driven(diamond(), t.Completed, t.Completed)  # a and b are done
    target = Graph([spec("a"), spec("c", 0), spec("b", 1), spec("d", 2)])

    assert "step 'b' has begun, and 'c' would come before it" in refused(driver, target, {**SAME, "d": "d"})


def test_what_has_not_begun_may_be_renamed() -> None:
    driver = driven(line(2), t.Completed)

    graph = moved(driver, Graph([spec("a"), spec("z", 0)]), {"a": "a", "b": "z"})

    assert [found.name for found in graph.steps] == ["a", "z"]


def test_two_steps_change_names() -> None:
    driver = driven(line(3), t.Completed)

    graph = moved(driver, line(3), {"a": "a", "b": "c", "c": "b"})

    assert [found.name for found in graph.steps] == ["a", "c", "b"]
    assert open_now(driver) == [2]


@pytest.mark.parametrize("outcomes", [[t.Completed], [t.InDoubt], [t.NoEffect]])
def test_what_has_begun_is_not_renamed(outcomes: list[type[t.AttemptTrigger]]) -> None:
    text = refused(driven(line(2), *outcomes), Graph([spec("z"), spec("b", 0)]), {"a": "z", "b": "b"})

    assert text == "cannot migrate: step 'a' has begun: participants know it by that name, so it can not become 'z'"


def test_a_step_is_dropped_and_its_row_stays() -> None:
    driver = driven(line(3), t.Completed)

    graph = moved(driver, Graph([spec("a"), spec("c", 0)]), {"a": "a", "b": None, "c": "c"})

    assert driver.steps[1].status is StepStatus.SKIPPED
    assert (graph.steps[1].action, graph.steps[1].depends_on) == ("", ())
    assert open_now(driver) == [2]


def test_the_last_step_is_dropped__then_the_saga_is_done() -> None:
    driver = driven(line(2), t.Completed)

    moved(driver, line(1), {"a": "a", "b": None})

    assert driver.saga.state is SagaState.COMPLETED


@pytest.mark.parametrize("kind", [t.Completed, t.InDoubt, t.NoEffect, t.Waits])
def test_what_was_executed_or_may_have_been_is_not_dropped(kind: type[t.AttemptTrigger]) -> None:
    driver = driven(line(2), kind)

    assert "step 'a' has begun" in refused(driver, Graph([spec("b")]), {"a": None, "b": "b"})


def test_a_step_whose_child_saga_runs_is_not_dropped() -> None:
    driver = driven(Graph([StepSpec("a", "", saga="ship"), spec("b", 0)]))
    driver.steps[0].status, driver.steps[0].waits = StepStatus.WAITING, Wait.CHILD

    assert "step 'a' has begun (it is waiting)" in refused(driver, Graph([spec("b")]), {"a": None, "b": "b"})


def test_what_waits_before_its_gate_is_dropped() -> None:
    driver = Driver(Graph([gate("paid", wait_for="paid"), spec("b", 0)]))
    driver.look()
    assert driver.steps[0].waits is Wait.SIGNAL

    moved(driver, Graph([spec("b")]), {"paid": None, "b": "b"})

    assert driver.steps[0].waits is Wait.NONE
    assert open_now(driver) == [1]


def test_a_missing_handler_is_healed() -> None:
    driver = driven(line(1))
    driver.ask(t.NoHandler(0))
    assert driver.saga.attention == Hold.NO_HANDLER

    moved(driver, Graph([spec("a", timeout=9.0)]), {"a": "a"})

    assert driver.saga.attention == ""


def test_a_second_migration__the_dropped_need_not_be_named_again() -> None:
    driver = driven(line(3), t.Completed)
    first = driver.saga.graph
    moved(driver, Graph([spec("a"), spec("c", 0)]), {"a": "a", "b": None, "c": "c"})
    second = driver.saga.graph
    driver.ask(t.Migrate("op", "", None, Graph([spec("a"), spec("c", 0), spec("d", 1)]), {"a": "a", "c": "c"}, "3"))

    graphs = iter((first, second))
    told = [replace(entry, graph=next(graphs)) if entry.kind == "migrate" else entry for entry in driver.history]
    assert audit(driver.saga, driver.steps, told) == []
    assert [found.name for found in driver.saga.graph.steps] == ["a", "b", "c", "d"]


def test_a_dropped_step_that_is_opened_again_is_passed_over() -> None:
    driver = driven(line(2), t.Completed)
    graph = moved(driver, Graph([spec("a"), spec("c", 0)]), {"a": "a", "b": None})

    assert graph.steps[1].checks
    assert graph.steps[1].when == "false"


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (lambda driver: driver.claim(), "step 'a' is running: try again later"),
        (lambda driver: attempt(driver, t.Rejected), "expected state started, got compensated"),
        (lambda driver: (attempt(driver, t.Completed), attempt(driver, t.Rejected)), "got compensating"),
    ],
)
def test_not_now(prepare: Any, text: str) -> None:
    driver = driven(line(2))
    prepare(driver)

    assert text in refused(driver, line(2), {"a": "a", "b": "b"})


def test_not_when_it_was_opened_out() -> None:
    driver = driven(line(2))
    driver.saga.graph = driver.saga.graph.opened_out(1, 1)
    driver.steps.append(StepRow(2))

    assert "'b' has been opened out" in refused(driver, line(2), {"a": "a", "b": "b", "b[0]": None})


def test_a_paused_saga_stays_paused() -> None:
    driver = driven(line(2), t.Completed)
    driver.ask(t.Pause("op"))

    moved(driver, Graph([spec("a"), spec("z", 0)]), {"a": "a", "b": "z"})

    assert driver.saga.paused_at is not None


def test_the_same_graph_and_version__nothing_is_recorded() -> None:
    driver = driven(line(2), t.Completed)

    decision = decide(driver.saga, driver.steps, t.Migrate(target=line(2), mapping={"a": "a", "b": "b"}), EPOCH)

    assert (decision.ignored, decision.entry) == ("it is on that graph already", None)


def test_a_graph_that_does_not_come_together() -> None:
    """A pivot that is done stays one; nothing may run beside it."""
    driver = driven(Graph([spec("a", pivot=True, no_compensation="x"), spec("b", 0)]), t.Completed)

    text = refused(driver, Graph([spec("a"), spec("b")]), {"a": "a", "b": "b"})

    assert "cannot migrate: step 'a' is a pivot, so every other step must come before or after" in text


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"a": "a"}, "expected every old step in the mapping (null: dropped), 'b' is not in it"),
        ({"a": "a", "b": "a"}, "expected one old step for each new one, 'a' is named twice"),
        ({"a": "a", "b": "x"}, "the mapping names 'x', which is no step of the new graph (steps: a, b, c)"),
    ],
)
def test_mapping__mistakes(mapping: dict[str, str | None], text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        places(line(2), line(3), mapping)

    assert caught.value.message == text


def test_places__old_ones_stay_and_new_ones_follow() -> None:
    assert places(line(2), Graph([spec("new"), spec("b", 0)]), {"a": None, "b": "b"}) == {"b": 1, "new": 2}


KINDS = st.sampled_from([t.Completed, t.InDoubt, t.NoEffect, t.Rejected, t.Waits])


@given(st.lists(KINDS, max_size=6), st.permutations("abcd"), st.data())
def test_any_migration__keeps_the_history_lawful_and_what_has_begun(
    outcomes: list[type[t.AttemptTrigger]], names: list[str], data: st.DataObject
) -> None:
    driver = Driver(diamond())
    for kind in outcomes:
        if open_now(driver) and driver.saga.state is SagaState.STARTED:
            attempt(driver, kind)
    needs = [data.draw(st.lists(st.integers(0, n - 1), unique=True)) if n else [] for n in range(5)]
    target = Graph(
        [spec(name, *needed, timeout=9.0) for name, needed in zip([*names, "new"], needs, strict=True)],
        Policy(data.draw(st.booleans())),
    )
    mapping = {name: data.draw(st.sampled_from([name, name, name, None])) for name in "abcd"}
    before, steps = driver.saga, [step.copy() for step in driver.steps]
    try:
        decision = decide(before, driver.steps, t.Migrate("op", "", None, target, mapping, "2"), driver.now)
    except SagaError:
        return
    _keeps(before, steps, decision)
    _goes_on(driver, before, decision)


def _keeps(before: SagaRow, steps: list[StepRow], decision: Decision) -> None:
    for step in steps:
        if step.attempt or step.doubt:
            assert decision.saga.graph.steps[step.position] == before.graph.steps[step.position]
            assert decision.steps[step.position] == step


def _goes_on(driver: Driver, before: SagaRow, decision: Decision) -> None:
    """To its end, and back."""
    assert decision.entry is not None
    driver.saga, driver.steps, driver.graph = decision.saga, decision.steps, decision.saga.graph
    driver.history.append(replace(decision.entry, graph=before.graph))
    while driver.saga.state is SagaState.STARTED and open_now(driver):
        attempt(driver, t.Completed)
    if driver.saga.state is SagaState.STARTED:
        driver.ask(t.Compensate("op"))
    while open_now(driver):
        attempt(driver, t.Completed)
    assert audit(driver.saga, driver.steps, driver.history) == []
