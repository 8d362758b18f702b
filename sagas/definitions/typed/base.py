"""What every sort of context model can do, and the two moments at which it is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import PayloadError

#: So many complaints are told at once.
_MOST = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a context. It names types and rules, never values: those may be secrets."""

    #: Keys and positions on the way to it; empty: the context as a whole.
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}" if self.path else self.message


class ContextModel(ABC):
    """What a saga's context must look like."""

    @abstractmethod
    def problems(self, context: Mapping[str, Any], *, tolerant: bool = False) -> list[Problem]:
        """What is wrong with a context; `tolerant`: unknown fields are not, even where the model forbids them."""

    def schema(self) -> Mapping[str, Any]:
        """The model as a JSON Schema, for forms; empty where there is none. What counts is `problems`."""
        return {}

    def defaults(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """What the model adds to a context that has no problems: the fields that are missing in it."""
        return {}


class StateModel(ContextModel):
    """A context model that is a class: functions work on an instance of it, the state."""

    @abstractmethod
    def build(self, context: Mapping[str, Any]) -> Any:
        """The state. Raises `PayloadError` when the context is not one."""

    @abstractmethod
    def dump(self, state: Any) -> dict[str, Any]:
        """The state as values that JSON can hold, as far as the model knows how."""

    @abstractmethod
    def merged(self, state: Any, updates: Mapping[str, Any]) -> dict[str, Any]:
        """Like `dump`, of the state with `updates` in it; the state itself stays as it is."""


def opening_context(model: ContextModel, context: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """The context that a saga starts with: as given, with the model's defaults. Raises `PayloadError`.

    Defaults are stored and not made anew by every reader: a default may be a time or an id.
    """
    refuse(model.problems(context), what)
    return {**context, **model.defaults(context)}


def check_changes(model: ContextModel, context: Mapping[str, Any], changes: Mapping[str, Any], *, what: str) -> None:
    """Hold what a step changes against the model. Raises `PayloadError`.

    Only what the change brought counts: a saga that an older version started may lack what today's model wants.
    """
    found = model.problems({**context, **changes}, tolerant=True)
    own = [problem for problem in found if problem.path and problem.path[0] in changes]
    whole = [problem for problem in found if not problem.path]
    if whole and not model.problems(context, tolerant=True):
        own += whole
    refuse(own, what)


def refuse(problems: Sequence[Problem], what: str) -> None:
    """Raise `PayloadError` when there are any."""
    if not problems:
        return
    told = "; ".join(map(str, problems[:_MOST]))
    more = f"; and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
    raise PayloadError(f"{what}: {told}{more}")
