"""The handlers, and the definitions that use them; registered by a call, so that a test can forget them again."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from sagas import Pending, Rejected, RetryPolicy, SagaDefinition, StepContext, action, compensation, step

#: Seconds that a handler waits at most for a test to let it go.
PATIENCE = 60.0


def files(ctx: StepContext) -> Path:
    return Path(ctx.context["files"])


def tell(ctx: StepContext, word: str) -> None:
    """One line per call, with the process that made it."""
    line = f"{word} {ctx.step} {ctx.attempt} {os.getpid()}\n"
    with (files(ctx) / "told").open("a") as told:
        told.write(line)


def do(ctx: StepContext) -> dict[str, Any]:
    tell(ctx, "do")
    if ctx.context.get("reject") == ctx.step:
        raise Rejected("as the test wants", code="wanted")
    return {"by": ctx.step}


def undo(ctx: StepContext) -> dict[str, Any]:
    tell(ctx, "undo")
    return {"undone": ctx.step, "before": dict(ctx.undo_outputs)}


def wait(ctx: StepContext) -> dict[str, Any]:
    """Until the test says so."""
    tell(ctx, "wait")
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if (files(ctx) / "go_on").exists():
            break
        pause.wait(0.02)
    return {"by": ctx.step, "attempt": ctx.attempt}


def timed(ctx: StepContext) -> None:
    """Says when it begins and when it ends, for tests of how many run at once."""
    for change in (1, -1):
        with (files(ctx) / "times").open("a") as times:
            times.write(f"{time.monotonic()} {change} {os.getpid()} {ctx.context.get('n')}\n")
        if change > 0:
            time.sleep(ctx.context.get("pause", 0.05))


def fall_silent(ctx: StepContext) -> dict[str, Any]:
    """The first attempt beats for a while, and then hangs until the test lets it go."""
    tell(ctx, "beat")
    pause = threading.Event()
    for beat in range(int(PATIENCE / 0.02) if ctx.attempt == 1 else 1):
        if beat < 10:
            ctx.heartbeat(progress=beat / 10)
        elif (files(ctx) / "go_on").exists():
            break
        pause.wait(0.02)
    return {"attempt": ctx.attempt}


def abort(ctx: StepContext) -> None:
    """The first attempt takes its process with it."""
    tell(ctx, "abort")
    if ctx.attempt == 1:
        os.abort()


def ask(ctx: StepContext) -> Pending:
    """Somebody else will answer: the token is left in a file."""
    tell(ctx, "ask")
    (files(ctx) / "token").write_text(ctx.token)
    return Pending(timeout=60)


def register_waits(at_once: RetryPolicy) -> None:
    """A saga with a step of every sort."""
    action("program.ask", retry=at_once)(ask)
    plain = {"action": "program.do", "compensation": "program.undo"}
    steps = [
        step("never", when="absent", **plain),
        step("always", when="items", **plain),
        step("timer", delay=0.2),
        step("each", for_each="items", **plain),
        step("ask", action="program.ask", compensation="program.undo"),
        step("paid", wait_for="paid", wait_timeout=600),
        step("last", **plain),
    ]
    type("Waits", (SagaDefinition,), {"name": "program_waits", "steps": steps, "__module__": __name__})


def register() -> None:
    """As importing a `sagas.py` does it."""
    at_once = RetryPolicy(base=0)
    for name, function in {"do": do, "wait": wait, "abort": abort}.items():
        action(f"program.{name}", retry=at_once)(function)
    action("program.timed", retry=at_once)(timed)
    action("program.limited", retry=at_once, max_concurrent=3)(timed)
    action("program.pair", retry=at_once, max_concurrent=2)(timed)
    for name, policy in {"silent": at_once, "silent_once": RetryPolicy(max_attempts=1)}.items():
        action(f"program.{name}", retry=policy, timeout=PATIENCE * 2, heartbeat_timeout=1)(fall_silent)
    compensation("program.undo", retry=at_once)(undo)
    register_waits(at_once)
    for name, actions in {
        "plain": "do do do",
        "waiting": "wait do",
        "aborting": "do abort do",
        "limited": "limited",
        "in_pairs": "do pair do",
        "in_turn": "timed do",
        "silent": "do silent do",
        "silent_once": "do silent_once do",
    }.items():
        steps = [
            step(f"s{number}", action=f"program.{word}", compensation="program.undo")
            for number, word in enumerate(actions.split(), start=1)
        ]
        type(name, (SagaDefinition,), {"name": f"program_{name}", "steps": steps, "__module__": __name__})
        if name in ("waiting", "in_turn"):
            known = "program_locked" if name == "waiting" else "program_locked_in_turn"
            locked = {"name": known, "steps": steps, "lock": "{order_id}", "__module__": __name__}
            type(known, (SagaDefinition,), locked)
