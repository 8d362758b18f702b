"""Workflow files that are refused: with file and line, all that is wrong at once, and what was expected."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from pydantic import BaseModel

from sagas import action
from sagas.apps import autodiscover
from sagas.checks.definitions import check_definitions
from sagas.definitions.files import building, files_of, load_file
from sagas.definitions.registry import registry
from sagas.exceptions import DefinitionError
from sagas.testing import run_saga

from .conftest import Writer

GOOD = """\
workflow_type: "Flow"
initial_state_model: "workflow_code.State"
steps:
  - name: "one"
    function: "workflow_code.do"
    compensate_function: "workflow_code.undo"
"""


CHILD = """\
workflow_type: "Above"
initial_state_model: "workflow_code.State"
steps:
  - name: "below"
    saga: "Flow"
"""


class State(BaseModel):
    n: int = 0


@dataclass
class PlainState:
    n: int = 0


def do(state: Any, context: Any, **kwargs: Any) -> None: ...


def undo(state: Any, context: Any, **kwargs: Any) -> None: ...


def plain(state: Any, context: Any) -> None: ...


@pytest.fixture(autouse=True)
def code(module: Callable[..., None]) -> None:
    module(State=State, PlainState=PlainState, do=do, undo=undo, plain=plain, number=7)


def refusal(writer: Writer, text: str) -> list[str]:
    """What is said about it, line by line, without the file's directory."""
    before = dict(registry.definitions)
    with pytest.raises(DefinitionError) as caught:
        writer.load(text)
    assert registry.definitions == before
    return [line.removeprefix(f"{writer.file.parent}/") for line in str(caught.value).splitlines()]


# -- child sagas -----------------------------------------------------------------------------------------------------


def test_child__gets_the_state_and_its_input_beside_it(writer: Writer, module: Callable[..., None]) -> None:
    def count(state: Any, context: Any, **kwargs: Any) -> dict[str, Any]:
        return {"n": state.n + 1}

    module(State=State, do=count, undo=undo)
    above = CHILD.replace("steps:", "steps:\n  - {name: first, function: workflow_code.do, no_compensation: counts}")
    writer.load(f"{above}    input: {{extra: 7}}\n---\n{GOOD}")

    run = run_saga("Above", {"n": 1})

    assert (run.state, run.called) == ("completed", ["first", "below", "below/one"])
    assert run.children["below"].context == {"n": 3, "extra": 7}
    assert (run.context, run.outputs["below"]) == ({"n": 2}, {"n": 3, "extra": 7})


def test_child__is_rolled_back_with_its_parent(writer: Writer) -> None:
    last = '  - {name: last, function: workflow_code.do, no_compensation: "reads only"}\n'
    writer.load(f"{CHILD}{last}---\n{GOOD}")

    run = run_saga("Above", fail={"last": ValueError("no")})

    assert (run.state, run.children["below"].state, run.undo_called) == ("compensated", "compensated", ["below/one"])


def test_child__that_nobody_knows__is_named_by_the_checks_with_file_and_line(writer: Writer) -> None:
    writer.load(CHILD)

    (found,) = [error for error in check_definitions() if error.id == "sagas.E010" and "'Above'" in error.msg]

    assert found.msg.startswith(
        f"saga definition 'Above': step 'below' ({writer.file}:4): unknown child saga: expected the name of a saga "
        "definition (known: "
    )
    assert found.msg.endswith("got 'Flow'")


# -- what is accepted ------------------------------------------------------------------------------------------------


def test_least__one_step(writer: Writer) -> None:
    (found,) = writer.load(GOOD)

    assert registry.definition("Flow") is found
    assert (found.version, found.rollback, found.rest_permission) == ("1", True, None)


def test_options__reach_the_definition(writer: Writer) -> None:
    (found,) = writer.load(
        'workflow_type: "Flow"\nworkflow_version: "2.1"\ninitial_state_model: "workflow_code.PlainState"\n'
        'rollback: false\nrest_permission: "authenticated"\nsteps:\n'
        '  - {name: "one", function: "workflow_code.do", no_compensation: "reads only", input: {limit: 3}}\n'
    )

    assert (found.version, found.rollback, found.rest_permission) == ("2.1", False, "authenticated")
    (only,) = found.step_definitions()
    assert (only.no_compensation, only.input) == ("reads only", {"limit": 3})


def test_documents__several_in_one_file(writer: Writer) -> None:
    found = writer.load(GOOD + "---\n" + GOOD.replace('"Flow"', '"Other"'))

    assert [definition.name for definition in found] == ["Flow", "Other"]


def test_load__twice__is_harmless(writer: Writer) -> None:
    writer.load(GOOD)
    writer.load(GOOD)

    assert registry.definition("Flow").graph().steps[0].action == "workflow_code.do"


def test_automate_next__false_pauses_the_saga_until_somebody_resumes_it(writer: Writer) -> None:
    steps = GOOD.split("steps:\n")[1]
    stopping = steps + "    automate_next: false\n"
    writer.load(
        GOOD
        + stopping.replace('"one"', '"two"')
        + (steps + "    automate_next: true\n").replace('"one"', '"three"')
        + stopping.replace('"one"', '"last"')
    )

    run = run_saga("Flow", {})

    assert (run.called, run.workflow_status) == (["one", "two"], "PAUSED")
    run.resume("looked at it").finish()
    assert (run.called, run.workflow_status) == (["one", "two", "three", "last"], "COMPLETED")


# -- what is not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["sagas.yaml:1: expected a workflow, found nothing"]),
        ("- 1\n", ["sagas.yaml:1: the workflow: expected an object, got a list"]),
        ("a: [1\nb: 2\n", ["sagas.yaml:2: expected YAML: expected ',' or ']', but got ':'"]),
        (
            GOOD + "rollback: no\nrollback: no\n",
            ["sagas.yaml:8: the key 'rollback' is written twice (first in line 7)"],
        ),
        (
            GOOD + '    function: "workflow_code.do"\n',
            ["sagas.yaml:7: the key 'function' is written twice (first in line 5)"],
        ),
        (
            GOOD + "    functoin: x\n",
            [
                "sagas.yaml:7: steps.0: unknown key 'functoin' (did you mean 'function'?): expected automate_next, "
                "compensate_function, description, function, input, name, no_compensation, saga, type"
            ],
        ),
        (
            "workflow_type: X\nversion: 2\n",
            [
                "sagas.yaml:1: the workflow: missing key 'initial_state_model'",
                "sagas.yaml:1: the workflow: missing key 'steps'",
                "sagas.yaml:2: the workflow: unknown key 'version' (did you mean 'workflow_version'?): expected "
                "description, initial_state_model, rest_permission, rollback, sensitive, steps, workflow_type, "
                "workflow_version",
            ],
        ),
        (
            GOOD + "workflow_version: 1.0\n",
            ["sagas.yaml:7: workflow_version: expected text, got a number: put it in quotes"],
        ),
        (
            GOOD + "workflow_version: 2026-01-01\n",
            [
                "sagas.yaml:7: expected text, a number, true, false, a list or a map, got "
                "tag:yaml.org,2002:timestamp: put text in quotes"
            ],
        ),
        (GOOD + "1: 2\n", ["sagas.yaml:7: expected text as a key, got 1"]),
        (
            GOOD + '    type: "PARALLEL"\n',
            [
                "sagas.yaml:7: steps.0.type: expected STANDARD; for steps side by side write the definition in "
                "Python, with parallel(…), got 'PARALLEL'"
            ],
        ),
        (
            GOOD.replace("    compensate_function", "    description"),
            [
                "sagas.yaml:4: steps.0: expected either compensate_function or no_compensation (why there is "
                "nothing to undo), got neither"
            ],
        ),
        (
            GOOD + "    no_compensation: none\n",
            [
                "sagas.yaml:4: steps.0: expected either compensate_function or no_compensation (why there is "
                "nothing to undo), got both"
            ],
        ),
        (
            GOOD.replace('"workflow_code.do"', '"os; import sys"'),
            [
                "sagas.yaml:5: steps.0.function: expected a dotted path of at most 100 characters, such as "
                "'payments.steps.charge', got 'os; import sys'"
            ],
        ),
        (
            GOOD.replace('"one"', '"\x07"'),
            [
                "sagas.yaml: expected YAML: unacceptable character #x0007: special characters are not allowed",
                '  in "<byte string>", position 83',
            ],
        ),
        (
            GOOD + "    saga: Flow\n",
            [
                "sagas.yaml:4: steps.0: a step that is a child saga has no function and no compensate_function: that "
                "belongs into the steps of 'Flow'"
            ],
        ),
        (
            CHILD + "    no_compensation: why\n",
            [
                "sagas.yaml:4: steps.0: a step that is a child saga has no no_compensation: that belongs into the "
                "steps of 'Flow'"
            ],
        ),
        (
            CHILD.replace('saga: "Flow"', 'description: "Flow"'),
            ["sagas.yaml:4: steps.0: missing key 'function' (or 'saga', of a step that is a child saga)"],
        ),
        (
            CHILD.replace('"Flow"', "7"),
            ["sagas.yaml:5: steps.0.saga: expected text, got a number: put it in quotes"],
        ),
        (
            CHILD.replace('"Flow"', '"a\\tb"'),
            ["sagas.yaml:4: step 'below': saga: expected a name of 1 to 100 printable characters, got 'saga:a\\tb'"],
        ),
        ("a: 0b_\n", ["sagas.yaml:1: expected a number, got '0b_'"]),
        ("a: &x 1\nb: *x\n", ["sagas.yaml:2: expected no alias (*name): write it out, or define the saga in Python"]),
        (
            "a: !!python/name:os.system\n",
            [
                "sagas.yaml:1: expected text, a number, true, false, a list or a map, got "
                "tag:yaml.org,2002:python/name:os.system: put text in quotes"
            ],
        ),
    ],
)
def test_refused__by_its_text(writer: Writer, text: str, lines: list[str]) -> None:
    assert refusal(writer, text) == lines


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "code.do",
            "code.nothing",
            "sagas.yaml:5: cannot import 'workflow_code.nothing': ImportError: Module \"workflow_code\" does not "
            'define a "nothing" attribute/class',
        ),
        (
            "workflow_code.do",
            "nowhere.do",
            "sagas.yaml:5: cannot import 'nowhere.do': ModuleNotFoundError: No module named 'nowhere'",
        ),
        (
            "code.do",
            "code.number",
            "sagas.yaml:5: workflow_code.number: expected a function of (state, context, **kwargs): got 7",
        ),
        (
            'code.do"',
            'code.plain"\n    input: {a: 1}',
            "sagas.yaml:5: workflow_code.plain: expected a function of (state, context, **kwargs): got an unexpected "
            "keyword argument 'a'",
        ),
        (
            "code.undo",
            "code.do",
            "sagas.yaml:6: 'workflow_code.do' is both an action and a compensation: expected two functions",
        ),
        (
            "code.State",
            "code.number",
            "sagas.yaml:2: initial_state_model: expected a pydantic model or a dataclass, got 7",
        ),
        (
            '"one"',
            '"a\\nb"',
            "sagas.yaml:4: step: expected a name of 1 to 100 printable characters, got 'a\\nb'",
        ),
        (
            '"Flow"',
            '"order_processing"',
            "sagas.yaml:3: two saga definitions are called 'order_processing': "
            "participants.orders.sagas.OrderProcessing and an_app.sagas.yaml:1",
        ),
    ],
)
def test_refused__by_what_it_names(writer: Writer, old: str, new: str, line: str) -> None:
    assert refusal(writer, GOOD.replace(old, new)) == [line]


def test_refused__name_that_another_handler_has(writer: Writer) -> None:
    action("workflow_code.do")(plain)

    (line,) = refusal(writer, GOOD)

    assert line.startswith("sagas.yaml:5: the name 'workflow_code.do' is registered twice: by ")


def test_refused__model_without_pydantic__says_which_extra(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModuleNotFoundError("No module named 'pydantic'", name="pydantic")
    monkeypatch.setattr(building, "import_string", raiser(error))

    (line,) = refusal(writer, GOOD)

    assert line.endswith(": pip install 'sagas[pydantic]'")


def raiser(error: Exception) -> Callable[[str], Any]:
    def import_nothing(path: str) -> Any:
        raise error

    return import_nothing


def test_refused__two_steps_of_one_name(writer: Writer) -> None:
    (line,) = refusal(writer, GOOD + GOOD.split("steps:\n")[1])

    assert line.startswith("sagas.yaml:3: saga definition 'Flow': two steps are called 'one'")


def test_refused__two_workflows_of_one_name(writer: Writer) -> None:
    with pytest.raises(DefinitionError, match=r"two saga definitions are called 'Flow': .*yaml:1 and .*yaml:8"):
        writer.load(GOOD + "---\n" + GOOD)


@pytest.mark.parametrize("missing", ["yaml", "jsonschema"])
def test_refused__library_missing__says_which_extra(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("sagas.definitions.files.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(DefinitionError, match=r"jsonschema.*pip install 'sagas\[yaml\]'"):
        writer.load(GOOD)


# -- where they are found --------------------------------------------------------------------------------------------


def test_files__of_an_app(tmp_path: Path) -> None:
    (tmp_path / "saga_definitions").mkdir()
    for name in ("sagas.yaml", "saga_definitions/b.yaml", "saga_definitions/a.yaml", "saga_definitions/notes.txt"):
        (tmp_path / name).touch()

    found = [path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path)]

    assert found == ["sagas.yaml", "saga_definitions/a.yaml", "saga_definitions/b.yaml"]


class SomeApp(AppConfig):
    name = "workflow_app"

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.name = self.label = "workflow_app"


@pytest.fixture
def app(unknown: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed app without a `sagas.py`."""
    path = tmp_path / "workflow_app"
    path.mkdir()
    (path / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(apps, "get_app_configs", lambda: [SomeApp(path)])
    return path


def test_autodiscovery__without_sagas_py__finds_both_places(app: Path) -> None:
    (app / "sagas.yaml").write_text(GOOD)
    (app / "saga_definitions").mkdir()
    (app / "saga_definitions" / "more.yaml").write_text(GOOD.replace("Flow", "More"))

    autodiscover()
    autodiscover()

    assert {"Flow", "More"} <= set(registry.definitions)


def test_autodiscovery__broken_file__is_an_error_at_start_up(app: Path) -> None:
    (app / "sagas.yaml").write_text(GOOD + "x: 1\n")

    with pytest.raises(DefinitionError, match=r"sagas.yaml:7: the workflow: unknown key 'x'"):
        autodiscover()


def test_load__is_for_apps_only() -> None:
    """No function that takes a dotted path, and no other way in, is exported beside these."""
    from sagas.definitions import files

    assert files.__all__ == ["DIRECTORY", "FILE", "files_of", "load_file"]
    assert load_file is files.load_file
