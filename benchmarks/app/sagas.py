"""Two sagas of three steps whose handlers do nothing: what is left to measure is the engine."""

from sagas import Rejected, SagaDefinition, StepContext, action, compensation, step


@action("bench.work")
def work(ctx: StepContext) -> dict[str, bool]:
    return {"ok": True}


@action("bench.refuse")
def refuse(ctx: StepContext) -> dict[str, bool]:
    raise Rejected("the last step says no", code="refused")


@compensation("bench.undo")
def undo(ctx: StepContext) -> None:
    return None


def _three_steps(last: str) -> list[object]:
    return [
        step("a", action="bench.work", compensation="bench.undo"),
        step("b", action="bench.work", compensation="bench.undo"),
        step("c", action=last, compensation="bench.undo"),
    ]


class Bench(SagaDefinition):
    name = "bench"
    steps = _three_steps("bench.work")


class BenchReject(SagaDefinition):
    name = "bench_reject"
    steps = _three_steps("bench.refuse")
