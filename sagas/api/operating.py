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
from .throttling import OPERATE


class OperateView(ApiView):
    """Base of what is asked for in a person's name."""

    queryset = Saga.objects.none()
    serializer_class = SagaSerializer
    throttle_scope = OPERATE
    #: The last part of the address, and the verb's name.
    address = ""
    #: The permission that it takes.
    needed = ""
    #: What is sent.
    wish: type[RequestSerializer] = OperateSerializer
    #: What it does, for those who read the description and not the code.
    means = ""

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """Ask the engine."""
        raise NotImplementedError

    def post(self, request: Request, **kwargs: Any) -> Response:
        """The body as it is after it; 409 when the saga moved or does not allow it."""
        saga = reading.find(request.user, kwargs["id"])
        permissions.require(request.user, self.needed)
        wish = checked(self.wish(data=request.data))
        changed = self.operate(saga, actor=name_of(request.user), **wish)
        self.log("saga operated over REST", f"rest_{self.verb()}", changed)
        return Response(shown(changed))

    @classmethod
    def verb(cls) -> str:
        """As `Saga` has it."""
        return cls.address.replace("-", "_")


class CompensateView(OperateView):
    """Roll a saga back."""

    address, needed = "compensate", permissions.COMPENSATE
    means = "Roll a saga back. 409 when it has moved, or when its state does not allow it."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.compensate`."""
        return saga.compensate(**wish)


class RetryView(OperateView):
    """Run now, with a fresh budget, what is stuck in a saga."""

    address, needed = "retry", permissions.RETRY
    means = "Run now, with a fresh budget, what is stuck. 409 when the saga has moved, or when nothing is."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.retry`."""
        return saga.retry(**wish)


class CancelView(OperateView):
    """Roll a saga back because it is not wanted any more."""

    address, needed = "cancel", permissions.CANCEL
    means = "Roll a saga back because it is not wanted any more. 409 when it has ended."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.cancel`."""
        return saga.cancel(**wish)


class PauseView(OperateView):
    """Begin nothing more in a saga."""

    address, needed = "pause", permissions.PAUSE
    means = "Begin nothing more until somebody resumes the saga. What runs is finished; a second pause changes nothing."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.pause`."""
        return saga.pause(**wish)


class ResumeView(OperateView):
    """Go on after a pause."""

    address, needed = "resume", permissions.PAUSE
    means = "Go on after a pause."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.resume`."""
        return saga.resume(**wish)


class RunNowView(OperateView):
    """Wait no longer for a time."""

    address, needed = "run-now", permissions.PAUSE
    means = "Wait no longer for the time of a next attempt or of a timer. 409 when no step waits for a time."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.run_now`."""
        return saga.run_now(**wish)


class RetryWithView(OperateView):
    """Run a step with another input."""

    address, needed, wish = "retry-with", permissions.STEER, wishes.RetryWithSerializer
    means = (
        "Run a pending or failed step with another input, under a new idempotency key. 409 while it is in doubt "
        "whether it happened with the old one."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.retry_with`."""
        return saga.retry_with(**wish)


class SkipView(OperateView):
    """Go on without a step."""

    address, needed, wish = "skip", permissions.STEER, wishes.SkipSerializer
    means = (
        "Go on without the step; what may have happened counts as done. While the saga is rolled back: leave the "
        "step as it is."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.skip`."""
        return saga.skip(**wish)


class ApproveView(OperateView):
    """Let a step run, or be undone."""

    address, needed, wish = "approve", permissions.APPROVE, wishes.ApproveSerializer
    means = (
        "Let the step run, or be undone. 403 when the step wants other approvers. The revision that you looked at is "
        "needed: 409 when the saga has moved since."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.approve`."""
        return saga.approve(user=self.request.user, **wish)


class DenyView(OperateView):
    """Do not let a step run."""

    address, needed, wish = "deny", permissions.APPROVE, wishes.DenySerializer
    means = "Do not let the step run: it fails, and the saga rolls back. 403 when the step wants other approvers."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.deny`."""
        return saga.deny(user=self.request.user, **wish)


class ResolveView(OperateView):
    """Record what a person found out or did by hand."""

    address, needed, wish = "resolve", permissions.RESOLVE, wishes.ResolveSerializer
    means = (
        "Record what a person found out or did by hand about a debt, or a step whose outcome is unknown. The reason "
        "is kept as evidence."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.resolve`."""
        return saga.resolve(**wish)


class RollBackToView(OperateView):
    """Undo a step and what depends on it, and go forward again."""

    address, needed, wish = "roll-back-to", permissions.STEER, wishes.RollBackToSerializer
    means = "Undo the step and all that depends on it, then go forward again from there, under new idempotency keys."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.roll_back_to`."""
        return saga.roll_back_to(**wish)


class AssignView(OperateView):
    """Say who looks after a debt."""

    address, needed, wish = "assign", permissions.RESOLVE, wishes.AssignSerializer
    means = "Say who looks after a debt, and when it is tried next; without a time it is parked."

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.assign`."""
        return saga.assign(**wish)


class SignalView(OperateView):
    """Tell a saga what it waits for."""

    address, needed, wish = "signal", permissions.SIGNAL, wishes.SignalSerializer
    means = (
        "Tell a saga the named fact that one of its steps waits for, or will. The same twice is harmless; 409 when no "
        "step takes it (any more), or when it came with another payload before."
    )

    def operate(self, saga: Saga, **wish: Any) -> Saga:
        """See `Saga.signal`. Facts have no actor; who told this one is in the log."""
        return saga.signal(wish["name"], wish.get("payload"))


VIEWS: tuple[type[OperateView], ...] = (
    CompensateView, RetryView, CancelView, PauseView, ResumeView, RunNowView, RetryWithView, SkipView, ApproveView,
    DenyView, ResolveView, RollBackToView, AssignView, SignalView,
)  # fmt: skip
