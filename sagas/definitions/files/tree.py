"""YAML text as plain values that remember their lines. The one module that imports PyYAML.

Plain on purpose: maps, lists, text, numbers, true, false and null. The same key twice, tags, dates and aliases are
refused: what a file says must be what a reader of it sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ...core.errors import DefinitionError

#: Keys and positions on the way to a value.
Place = tuple[str | int, ...]

_SCALARS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))


@dataclass(slots=True)
class Document:
    """One YAML document."""

    file: Path
    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Place = ()) -> int:
        """Where that is written, or the nearest thing around it; from 1."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, place: Place, message: str) -> DefinitionError:
        """What is wrong, and where."""
        return DefinitionError(f"{self.file}:{self.line(place)}: {message}")


def read(file: Path) -> list[Document]:
    """The documents of a file. Raises `DefinitionError` with file and line."""
    try:
        found = [_document(file, node) for node in yaml.compose_all(file.read_bytes(), Loader=yaml.SafeLoader)]
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise DefinitionError(f"{file}{line}: expected YAML: {exc.problem or exc.context}") from exc
    except yaml.YAMLError as exc:
        raise DefinitionError(f"{file}: expected YAML: {exc}") from exc
    if not found:
        raise DefinitionError(f"{file}:1: expected a workflow, found nothing")
    return found


def _document(file: Path, node: yaml.Node) -> Document:
    document = Document(file)
    document.value = _Reader(document).value(node, ())
    return document


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = yaml.constructor.SafeConstructor()
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, place: Place) -> Any:
        self._document.lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self._seen:
            raise self._document.error(place, "expected no alias (*name): write it out, or define the saga in Python")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return dict(self._pairs(node, place))
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.value(item, (*place, position)) for position, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, place)
        raise self._document.error(
            place, f"expected text, a number, true, false, a list or a map, got {node.tag}: put text in quotes"
        )

    def _pairs(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[str, Any]]:
        for key_node, value_node in node.value:
            key = self.value(key_node, place)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise DefinitionError(f"{self._document.file}:{line}: expected text as a key, got {key!r}")
            first = self._document.lines.get((*place, key))
            if first is not None:
                raise DefinitionError(
                    f"{self._document.file}:{line}: the key {key!r} is written twice (first in line {first})"
                )
            self._document.lines[*place, key] = line
            yield key, self.value(value_node, (*place, key))

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        try:
            return self._scalars.construct_object(node)
        except ValueError as exc:
            raise self._document.error(place, f"expected a number, got {node.value!r}") from exc
