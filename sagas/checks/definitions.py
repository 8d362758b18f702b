"""System checks of the definitions, and of where they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Info, Warning, register  # noqa: A004 - that is its name

from ..conf import app_settings
from ..core.errors import DefinitionError
from ..core.verbs import ALL
from ..definitions.definition import SagaDefinition
from ..definitions.hygiene import Smell, mistakes
from ..definitions.registry import registry

_IDS: dict[Smell, tuple[type[Error] | type[Warning], str]] = {
    Smell.NO_REASON: (Error, "sagas.E011"),
    Smell.UNREACHABLE: (Error, "sagas.E012"),
    Smell.BEHIND_PIVOT: (Warning, "sagas.W010"),
    Smell.ONCE_WITH_RETRIES: (Warning, "sagas.W011"),
    Smell.ENDLESS_WAIT: (Warning, "sagas.W012"),
}


@register("sagas")
def check_definitions(**kwargs: Any) -> list[CheckMessage]:
    """Every definition's handlers are known, and its steps make sense together."""
    return [message for definition in registry.definitions.values() for message in _of(definition)]


def _of(definition: type[SagaDefinition]) -> Iterator[CheckMessage]:
    try:
        graph, steps = definition.graph(), definition.step_definitions()
    except DefinitionError as exc:
        yield Error(str(exc), hint="Handlers are found in the sagas.py of installed apps.", id="sagas.E010")
        return
    except Exception as exc:
        if not definition.is_composed():
            raise
        yield Info(
            f"saga definition {definition.name!r} is not checked: its steps are a function of the context, and for an "
            f"empty one it raised {type(exc).__name__}",
            hint="Let it take keys that are missing (context.get), or look at manage.py saga_graph --context.",
            id="sagas.I002",
        )
        return
    for mistake in mistakes(graph, steps, registry.handlers, deadline=definition.deadline is not None):
        kind, number = _IDS[mistake.smell]
        text, hint = f"saga definition {definition.name!r}: {mistake.text}", mistake.smell.value
        yield kind(text, hint=f"{hint[0].upper()}{hint[1:]}.", id=number)


@register("sagas")
def check_handlers(**kwargs: Any) -> list[CheckMessage]:
    """Which of two functions is meant, nobody can know."""
    hint = "Neither is run, and no saga that names it can be started, until one of the two has another name."
    return [Error(problem, hint=hint, id="sagas.E014") for problem in registry.clashes.values()]


@register("sagas")
def check_operators(**kwargs: Any) -> list[CheckMessage]:
    """A limit on a definition that nobody knows limits nothing."""
    limits = app_settings().OPERATORS
    return [
        Warning(
            f"SAGAS['OPERATORS'] limits the sagas {name!r}, and there is no definition of that name",
            hint="Correct the name; leave it if sagas of that name bring their own steps.",
            id="sagas.W013",
        )
        for name in limits
        if name != ALL and name not in registry.definitions
    ]


@register("sagas")
def check_apps(**kwargs: Any) -> list[CheckMessage]:
    """Python finds a package before a module of the same name: the module would be passed over in silence."""
    return [
        Error(
            f"the app {config.name!r} has both a sagas.py and a package sagas/: Python imports the package, and the "
            f"handlers and definitions of sagas.py are not found",
            hint="Move sagas.py into the package and import it there, or rename one of the two.",
            id="sagas.E013",
        )
        for config in apps.get_app_configs()
        if _both(Path(config.path))
    ]


def _both(place: Path) -> bool:
    return (place / "sagas.py").is_file() and (place / "sagas" / "__init__.py").is_file()
