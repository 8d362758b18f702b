"""Definitions in YAML files, in the style of the workflow tutorial.

A file holds one workflow (or several, separated by `---`). It becomes an ordinary `SagaDefinition` with ordinary
handlers, whose names are the dotted paths of their functions. These paths are followed here and nowhere else: while
the file of an installed app is loaded, never for what a request or the database says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import DefinitionError

if TYPE_CHECKING:
    from ..definition import SagaDefinition

#: Where an app keeps its workflows: this file, and the files of this directory.
FILE = "sagas.yaml"
DIRECTORY = "saga_definitions"


def files_of(app: Path) -> list[Path]:
    """The workflow files of the app in this directory."""
    single = app / FILE
    return [*([single] if single.is_file() else []), *sorted((app / DIRECTORY).glob("*.yaml"))]


def load_file(path: Path, *, app: str) -> list[type[SagaDefinition]]:
    """Register the workflows of a file of the installed app `app`; loading it again is harmless.

    Raises `DefinitionError` with file and line for everything that is wrong with it.
    """
    try:
        from .building import build
        from .checking import check
        from .tree import read
    except ImportError as exc:
        raise DefinitionError(
            f"{path}: reading it needs PyYAML and jsonschema ({exc}): pip install 'sagas[yaml]'"
        ) from exc
    documents = read(path)
    for document in documents:
        check(document)
    return [build(document, app) for document in documents]


__all__ = ["DIRECTORY", "FILE", "files_of", "load_file"]
