"""What operators ask for: one view per verb of `Saga`. They parse, ask the engine once, and answer with the body."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Saga
from . import permissions, reading, wishes
from .authentication import name_of
from .base import ApiView
from .serializers import OperateSerializer, RequestSerializer, SagaSerializer, checked, shown
from .starting import created, idempotency_key
from .throttling import OPERATE


class OperateView(ApiView):
    """Base of what is asked for in a person's name."""

    queryset = Saga.objects.none()
    serializer_class = SagaSerializer
    throttle_scope = OPERATE
    #: The last part of the address, and the verb's name.
    address = ""
    #: What is sent.
    wish: type[RequestSerializer] = OperateSerializer
    #: Whether it answers with a saga that it has started.
    creates = False
    #: What it does, for those who read the description and not the code.
    means = ""

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """Ask the engine."""
        raise NotImplementedError

    def post(self, request: Request, **kwargs: Any) -> Response:
        """The body as it is after it; 409 when the saga moved or does not allow it."""
        saga = reading.find(request.user, kwargs["id"])
        permissions.require(request.user, self.verb(), saga.name)
        wish = checked(self.wish(data=request.data))
        changed = self.operate(saga, actor=name_of(request.user), **wish)
        self.log("saga operated over REST", f"rest_{self.verb()}", changed)
        return self.answer(changed)

    def answer(self, saga: Saga) -> Response:
        """What is told of it."""
        return Response(shown(saga))

    @classmethod
    def verb(cls) -> str:
        """As `Saga` has it."""
        return cls.address.replace("-", "_")


class CompensateView(OperateView):
    """Roll a saga back."""

    address = "compensate"
    means = "Roll a saga back. 409 when it has moved, or when its state does not allow it."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.compensate`."""
        return saga.compensate(**wish)


class RetryView(OperateView):
    """Run now, with a fresh budget, what is stuck in a saga."""

    address = "retry"
    means = "Run now, with a fresh budget, what is stuck. 409 when the saga has moved, or when nothing is."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.retry`."""
        return saga.retry(**wish)


class CancelView(OperateView):
    """Roll a saga back because it is not wanted any more."""

    address = "cancel"
    means = "Roll a saga back because it is not wanted any more. 409 when it has ended."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.cancel`."""
        return saga.cancel(**wish)


class PauseView(OperateView):
    """Begin nothing more in a saga."""

    address = "pause"
    means = "Begin nothing more until somebody resumes the saga. What runs is finished; a second pause changes nothing."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.pause`."""
        return saga.pause(**wish)


class ResumeView(OperateView):
    """Go on after a pause."""

    address = "resume"
    means = "Go on after a pause."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.resume`."""
        return saga.resume(**wish)


class RunNowView(OperateView):
    """Wait no longer for a time."""

    address = "run-now"
    means = "Wait no longer for the time of a next attempt or of a timer. 409 when no step waits for a time."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.run_now`."""
        return saga.run_now(**wish)


class RetryWithView(OperateView):
    """Run a step with another input."""

    address, wish = "retry-with", wishes.RetryWithSerializer
    means = (
        "Run a pending or failed step with another input, under a new idempotency key. 409 while it is in doubt "
        "whether it happened with the old one."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.retry_with`."""
        return saga.retry_with(**wish)


class SkipView(OperateView):
    """Go on without a step."""

    address, wish = "skip", wishes.SkipSerializer
    means = (
        "Go on without the step; what may have happened counts as done. While the saga is rolled back: leave the "
        "step as it is."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.skip`."""
        return saga.skip(**wish)


class ApproveView(OperateView):
    """Let a step run, or be undone."""

    address, wish = "approve", wishes.ApproveSerializer
    means = (
        "Let the step run, or be undone. 403 when the step wants other approvers. The revision that you looked at is "
        "needed: 409 when the saga has moved since."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.approve`."""
        return saga.approve(user=self.request.user, **wish)


class DenyView(OperateView):
    """Do not let a step run."""

    address, wish = "deny", wishes.DenySerializer
    means = "Do not let the step run: it fails, and the saga rolls back. 403 when the step wants other approvers."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.deny`."""
        return saga.deny(user=self.request.user, **wish)


class ResolveView(OperateView):
    """Record what a person found out or did by hand."""

    address, wish = "resolve", wishes.ResolveSerializer
    means = (
        "Record what a person found out or did by hand about a debt, or a step whose outcome is unknown. The reason "
        "is kept as evidence."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.resolve`."""
        return saga.resolve(**wish)


class RollBackToView(OperateView):
    """Undo a step and what depends on it, and go forward again."""

    address, wish = "roll-back-to", wishes.RollBackToSerializer
    means = "Undo the step and all that depends on it, then go forward again from there, under new idempotency keys."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.roll_back_to`."""
        return saga.roll_back_to(**wish)


class AssignView(OperateView):
    """Say who looks after a step that asks for a person."""

    address, wish = "assign", wishes.AssignSerializer
    means = (
        "Say who looks after a step that asks for a person (a debt, an approval, another hold); of a debt also "
        "when it is tried next: without a time it is parked."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.assign`."""
        return saga.assign(**wish)


class RestartView(OperateView):
    """Start a new saga in the place of one that has ended."""

    address, wish = "restart", wishes.RestartSerializer
    creates = True
    means = (
        "Start a new saga in the place of one that has ended with nothing left to undo, by today's definition. The "
        "body and `Location` are the new saga's: 201, or 200 when its idempotency key started it before."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.restart`."""
        key = idempotency_key(self.request)
        return saga.restart(idempotency_key=key, request_id=self.request_id, **wish)

    def answer(self, saga: Saga) -> Response:
        """The new one."""
        return created(self.request, saga)


class SignalView(OperateView):
    """Tell a saga what it waits for."""

    address, wish = "signal", wishes.SignalSerializer
    means = (
        "Tell a saga the named fact that one of its steps waits for, or will. The same twice is harmless; 409 when no "
        "step takes it (any more), or when it came with another payload before."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.signal`."""
        return saga.signal(wish.pop("name"), wish.pop("payload", None), **wish)


VIEWS: tuple[type[OperateView], ...] = (
    CompensateView, RetryView, CancelView, PauseView, ResumeView, RunNowView, RetryWithView, SkipView, ApproveView,
    DenyView, ResolveView, RollBackToView, AssignView, RestartView, SignalView,
)  # fmt: skip
