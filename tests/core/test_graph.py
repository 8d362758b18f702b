"""The frozen graph: what is refused, the order of undoing, and its hash."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given

from sagas.core.errors import DefinitionError
from sagas.core.graph import MAX_STEPS, Graph, StepSpec
from sagas.core.retry import RetryPolicy

from .build import diamond, line, side_by_side, spec
from .test_any_schedule import graphs


def refusal(*specs: StepSpec) -> str:
    with pytest.raises(DefinitionError) as refused:
        Graph(specs)
    return str(refused.value)


def test_graph__a_diamond():
    graph = diamond()

    assert graph.names == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert graph.reverse == (3, 2, 1, 0)
    assert graph.ancestors == (frozenset(), {0}, {0}, {0, 1, 2})
    assert graph.dependents == ((1, 2), (3,), (3,), ())


def test_graph__without_steps():
    graph = Graph([])

    assert (graph.steps, graph.reverse, graph.ancestors, graph.dependents) == ((), (), (), ())


def test_graph__steps_may_wait_for_later_ones():
    graph = Graph([spec("a", 1), spec("b")])

    assert graph.reverse == (0, 1)
    assert graph.ancestors == ({1}, frozenset())


@given(graphs())
def test_graph__undoing_comes_after_everything_that_waited(graph: Graph):
    seen: set[int] = set()
    for position in graph.reverse:
        assert set(graph.dependents[position]) <= seen
        seen.add(position)
    assert seen == set(range(len(graph.steps)))


def test_refused__a_step_that_waits_for_itself():
    assert refusal(spec("a", 0)) == "the steps wait for each other in a circle: a → a"


def test_refused__a_circle_is_named_in_the_direction_of_waiting():
    text = refusal(spec("alone"), spec("a", 3), spec("b", 1), spec("c", 2))

    circle = text.removeprefix("the steps wait for each other in a circle: ").split(" → ")
    waits = {"a": "c", "b": "a", "c": "b"}
    assert circle[0] == circle[-1]
    assert all(waits[step] == needed for step, needed in itertools.pairwise(circle))
    assert set(circle) == {"a", "b", "c"}


def test_refused__two_steps_of_one_name():
    text = refusal(spec("a"), spec("b"), spec("a"))

    assert text == "two steps are called 'a': every step needs a name of its own"


def test_refused__too_many_steps():
    Graph([spec(f"s{n}") for n in range(MAX_STEPS)])

    assert refusal(*(spec(f"s{n}") for n in range(MAX_STEPS + 1))) == "expected at most 100 steps, got 101"


@pytest.mark.parametrize("graph", [Graph([]), line(3), side_by_side(2, no_compensation="no"), diamond(atomic=True)])
def test_json__there_and_back(graph: Graph):
    again = Graph.from_json(graph.to_json())

    assert again.steps == graph.steps
    assert again.hash == graph.hash


def test_json__of_an_older_version_gets_the_defaults():
    graph = Graph.from_json({"format": 1, "steps": [{"name": "a", "action": "do.a", "unheard_of": 1}]})

    assert graph.steps == (StepSpec("a", "do.a"),)


def test_hash__is_of_the_content():
    assert line(2).hash == line(2).hash
    assert len(line(2).hash) == 64
    others = [
        line(3),
        side_by_side(2),
        line(2, retry=RetryPolicy(7)),
        line(2, timeout=7.0),
        line(2, atomic=True),
        line(2, queue="mail"),
        line(2, no_compensation="reads only"),
    ]
    assert len({graph.hash for graph in [line(2), *others]}) == 8


def test_hash__does_not_change_between_versions():
    """It is a key in hosts' databases: a new default or field changes the key of new sagas, and must be meant."""
    assert Graph([]).text == '{"format":1,"steps":[]}'
    assert Graph([StepSpec("a", "do.a", "undo.a")]).text == (
        '{"format":1,"steps":[{"action":"do.a","atomic":false,"compensation":"undo.a","depends_on":[],"name":"a",'
        '"no_compensation":"","queue":"","retry":{"base":1.0,"cap":300.0,"factor":2.0,"jitter":true,"max_attempts":3},'
        '"timeout":60.0,"undo_atomic":false,"undo_retry":{"base":1.0,"cap":300.0,"factor":2.0,"jitter":true,'
        '"max_attempts":3},"undo_timeout":60.0}]}'
    )
