"""Definitions that the API's tests start. Their handlers are never called here: no worker runs."""

from sagas import SagaDefinition, StepContext, action, compensation, step


@action("api.act")
def act(ctx: StepContext) -> dict[str, str]:
    return {}


@compensation("api.undo")
def undo(ctx: StepContext) -> None:
    return None


STEPS = [
    step("first", action="api.act", compensation="api.undo", input={"number": 1}),
    step("second", action="api.act", no_compensation="reads only"),
]


class Open(SagaDefinition):
    name = "api_open"
    rest_permission = "authenticated"
    steps = STEPS


class Guarded(SagaDefinition):
    name = "api_guarded"
    rest_permission = "sagas.view_saga"
    steps = STEPS


class Closed(SagaDefinition):
    name = "api_closed"
    steps = STEPS


class Blank(SagaDefinition):
    """An empty permission is granted to superusers by Django."""

    name = "api_blank"
    rest_permission = ""
    steps = STEPS


class Locked(SagaDefinition):
    name = "api_locked"
    rest_permission = "authenticated"
    lock = "order:{order}"
    lock_policy = "refuse"
    steps = STEPS


class Nothing(SagaDefinition):
    """Without steps it is completed when it is started."""

    name = "api_nothing"
    rest_permission = "authenticated"
    steps = []
