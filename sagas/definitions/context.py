"""`StepContext`: what a handler sees of its saga. Values are read from stored JSON, anew for every attempt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from .ids import id_text
from .tokens import make_token


class ReadOnlyDict(dict[str, Any]):
    """A dict that says how to change what it shows."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "the saga's context is read-only here: call ctx.update(key=value), it is kept if the attempt completes"
        )

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = __ior__ = _refuse


class Outputs(Mapping[str, Any]):
    """Outputs of the steps that are done (or undone), by step name; parsed when first looked at."""

    def __init__(self, texts: Mapping[str, str | None], done: str = "done") -> None:
        self._texts = texts
        self._done = done
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            try:
                text = self._texts[name]
            except KeyError:
                known = ", ".join(sorted(self._texts)) or "none"
                raise KeyError(f"no output of a step {name!r} here ({self._done} before this step: {known})") from None
            self._values[name] = None if text is None else json.loads(text)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


@dataclass(frozen=True, slots=True)
class Pending:
    """Return it from a handler: the work goes on elsewhere, and somebody who has `ctx.token` will say how it ended.

    `timeout`: seconds or a timedelta that the answer may take; None = the step's `wait_timeout`. What a wait in vain
    means is the step's `on_timeout`.
    """

    timeout: float | timedelta | None = None

    def __post_init__(self) -> None:
        wait = timedelta(seconds=self.timeout) if isinstance(self.timeout, (int, float)) else self.timeout
        object.__setattr__(self, "timeout", wait)


class StepContext:
    """One attempt of a step, as its handler sees it."""

    __slots__ = (
        "_beat",
        "_changes",
        "_context",
        "_context_text",
        "_input",
        "_input_text",
        "_output",
        "_output_text",
        "action_key",
        "attempt",
        "deadline",
        "idempotency_key",
        "outcome",
        "outputs",
        "request_id",
        "round",
        "saga_id",
        "saga_name",
        "step",
        "undo",
        "undo_outputs",
    )

    def __init__(  # noqa: PLR0913
        self,
        *,
        saga_id: UUID,
        saga_name: str,
        step: str,
        attempt: int,
        round: int,  # noqa: A002
        undo: bool = False,
        input_text: str | None = None,
        context_text: str = "{}",
        outputs: Mapping[str, str | None] | None = None,
        undo_outputs: Mapping[str, str | None] | None = None,
        output_text: str | None = None,
        outcome: str | None = None,
        deadline: datetime | None = None,
        request_id: str = "",
        beat: Callable[[float | None], None] | None = None,
    ) -> None:
        #: The saga's id; `str(ctx.saga_id)` is the UUID, the keys carry the ULID.
        self.saga_id = saga_id
        self.saga_name = saga_name
        #: The step's name.
        self.step = step
        self.round = round
        self.undo = undo
        #: From 1; grows with every attempt of the same round.
        self.attempt = attempt
        #: When this attempt is given up: the handler's start plus its timeout.
        self.deadline = deadline
        #: The request that started the saga, where it had an id.
        self.request_id = request_id
        key = f"{id_text(saga_id)}:{step}:{round}"
        #: The do's key: what a compensation looks up to find what may have happened.
        self.action_key = f"{key}:do"
        #: The same for every attempt of this round: participants dedupe by it.
        self.idempotency_key = f"{key}:undo" if undo else self.action_key
        #: In a compensation: "completed" or "unknown". None in an action.
        self.outcome = outcome
        #: Outputs of the steps that were done before this one.
        self.outputs: Mapping[str, Any] = Outputs(outputs or {})
        #: In a compensation: what those that are done already returned, in this round. None: nothing, or not needed.
        self.undo_outputs: Mapping[str, Any] = Outputs(undo_outputs or {}, "undone")
        self._input_text = input_text
        self._input: Any = None
        self._context_text = context_text
        self._context: ReadOnlyDict | None = None
        self._output_text = output_text
        self._output: Any = None
        self._changes: dict[str, Any] = {}
        self._beat = beat

    @property
    def input(self) -> Any:
        """The step's input, as it was worked out when the step became ready."""
        if self._input is None:
            self._input = json.loads(self._input_text) if self._input_text is not None else {}
        return self._input

    @property
    def context(self) -> dict[str, Any]:
        """The saga's context (read-only); see `update`."""
        if self._context is None:
            self._context = ReadOnlyDict(json.loads(self._context_text))
        return self._context

    @property
    def output(self) -> Any:
        """In a compensation: what the action returned; None when the outcome is unknown."""
        if self._output is None and self._output_text is not None:
            self._output = json.loads(self._output_text)
        return self._output

    @property
    def token(self) -> str:
        """What whoever does the work shows to complete the step, or to fail it, later (see `Pending`). It is good from
        now on: the answer may come before the handler has returned."""
        return make_token(self.saga_id, self.step, self.round, undo=self.undo, attempt=self.attempt)

    def learn(self, output_text: str) -> None:
        """A probe has found out what the action returned."""
        self._output_text, self.outcome = output_text, "completed"

    def heartbeat(self, progress: float | None = None) -> None:
        """Say that this attempt goes on, and how far it is (from 0 to 1). With a `heartbeat_timeout`, one that does not
        is given up. Cheap: what is said is written by another thread, at most once a second."""
        if self._beat is not None:
            self._beat(None if progress is None else min(1.0, max(0.0, float(progress))))

    def update(self, **changes: Any) -> None:
        """Add to the saga's context, if this attempt completes. Keys are replaced whole."""
        self._changes.update(changes)

    @property
    def changes(self) -> dict[str, Any]:
        """What `update` has collected."""
        return self._changes
