"""A document held against the JSON Schema that ships beside this module; every complaint with its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from typing import Any

from ...core.errors import DefinitionError
from ..schemas import describe, errors_of, validator_of
from .tree import Document, Place

_OF_COMPENSATION = ("compensate_function", "no_compensation")
_NOT_OF_CHILD = ("function", *_OF_COMPENSATION)


def check(document: Document) -> None:
    """Raise `DefinitionError` with all that is wrong, one line each, in the order of the file."""
    complaints = {
        (document.line(place), f"{document.file}:{document.line(place)}: {message}")
        for error in errors_of(_validator(), document.value)
        for place, message in _complaints(error)
    }
    if complaints:
        raise DefinitionError("\n".join(text for _, text in sorted(complaints)))


@lru_cache(maxsize=1)
def _validator() -> Any:
    return validator_of(json.loads(resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")))


def _complaints(error: Any) -> Iterator[tuple[Place, str]]:
    place: Place = tuple(error.absolute_path)
    name = ".".join(map(str, place)) or "the workflow"
    if error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        for key in error.instance.keys() - known:
            yield (*place, key), f"{name}: unknown key {key!r}{_meant(key, known)}: expected {', '.join(known)}"
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield place, f"{name}: missing key {key!r}"
    elif error.validator == "oneOf":
        yield place, f"{name}: {_does(error.instance)}"
    else:
        yield place, f"{name}: {_value(error)}"


def _meant(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _does(step: dict[str, Any]) -> str:
    """What is wrong with what a step does."""
    if "saga" in step:
        others = " and no ".join(key for key in _NOT_OF_CHILD if key in step)
        return f"a step that is a child saga has no {others}: that belongs into the steps of {step['saga']!r}"
    if "function" not in step:
        return "missing key 'function' (or 'saga', of a step that is a child saga)"
    got = "both" if all(key in step for key in _OF_COMPENSATION) else "neither"
    return f"expected either compensate_function or no_compensation (why there is nothing to undo), got {got}"


def _value(error: Any) -> str:
    if error.validator == "type":
        quotes = error.validator_value == "string" and isinstance(error.instance, (bool, int, float))
        return describe(error) + (": put it in quotes" if quotes else "")
    # Nothing in a definition is a secret, so the value is shown.
    return f"expected {error.schema.get('description') or describe(error)}, got {error.instance!r:.80}"
