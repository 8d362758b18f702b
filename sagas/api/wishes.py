"""What a client may ask for beside a start: one serializer per form of wish. No other field is taken."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from ..core.graph import MAX_NAME
from ..engine.operate import MAX_ACTOR
from ..exceptions import MAX_CODE, MAX_MESSAGE
from .serializers import JSONObject, OperateSerializer, RequestSerializer, Revision, Text


class Flag(serializers.BooleanField):
    """True or false, and nothing that merely can be read as one of them."""

    def to_internal_value(self, data: Any) -> bool:
        """Refuse text and numbers."""
        if not isinstance(data, bool):
            self.fail("invalid", input=f"{data!r:.80}")
        return data


class Moment(serializers.DateTimeField):
    """A time with its offset: whose clock a bare one would mean, nobody knows."""

    default_error_messages = {"no_time": "Expected an ISO 8601 time with its offset, such as 2026-11-21T09:30:00Z."}

    def to_internal_value(self, value: Any) -> datetime:
        """Refuse what is none."""
        try:
            found = parse_datetime(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fail("no_time")
        return found


class StepSerializer(OperateSerializer):
    """Base of what is asked for one step."""

    step = Text(max_length=MAX_NAME, help_text="the step's name")


class RetryWithSerializer(StepSerializer):
    """`POST /sagas/{id}/retry-with/`."""

    input = JSONObject(help_text="what the step gets in place of its input")


class SkipSerializer(StepSerializer):
    """`POST /sagas/{id}/skip/`."""

    output = serializers.JSONField(
        required=False, allow_null=True, help_text="in place of what the step would have returned"
    )


class ApproveSerializer(StepSerializer):
    """`POST /sagas/{id}/approve/`: of what was looked at, and of nothing else."""

    expected_revision = Revision(
        min_value=1,
        help_text="the revision whose step, input and plan you looked at: 409 when the saga has moved since",
    )


class DenySerializer(StepSerializer):
    """`POST /sagas/{id}/deny/`."""


class ResolveSerializer(StepSerializer):
    """`POST /sagas/{id}/resolve/`."""

    done = Flag(help_text="true: it has happened (a debt: it is undone now); false: it surely has not, and will not")
    output = serializers.JSONField(
        required=False,
        allow_null=True,
        help_text="of a step that has happened (a debt: of its undo): what it would have returned",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What has not happened has no output."""
        if attrs.get("output") is not None and not attrs["done"]:
            raise serializers.ValidationError({"output": ["Expected none: what has not happened has no output."]})
        return attrs


class RollBackToSerializer(StepSerializer):
    """`POST /sagas/{id}/roll-back-to/`."""


class AssignSerializer(StepSerializer):
    """`POST /sagas/{id}/assign/`."""

    owner = Text(required=False, allow_blank=True, max_length=MAX_ACTOR, help_text="who looks after it; absent: nobody")
    expected_owner = Text(
        required=False,
        allow_blank=True,
        max_length=MAX_ACTOR,
        help_text="who looks after it until now (blank: nobody): refused when it is somebody else",
    )
    next_try = Moment(required=False, allow_null=True, help_text="when a debt is tried next; absent or null: parked")


class RestartSerializer(OperateSerializer):
    """`POST /sagas/{id}/restart/`."""

    context = JSONObject(  # type: ignore[assignment]  # DRF's serializers have an attribute of this name
        required=False, help_text="of the new saga; absent: that of the old one"
    )


class SignalSerializer(RequestSerializer):
    """`POST /sagas/{id}/signal/`."""

    name = Text(max_length=MAX_NAME, help_text="the name in a step's `wait_for`")
    payload = serializers.JSONField(required=False, allow_null=True, help_text="becomes the step's output")
    reason = Text(required=False, allow_blank=True, max_length=MAX_MESSAGE, help_text="kept in the saga's history")


class AnswerErrorSerializer(RequestSerializer):
    """Why the work was not done, surely without an effect."""

    code = Text(max_length=MAX_CODE, help_text="a short stable word, kept on the step")
    message = Text(required=False, allow_blank=True, max_length=MAX_MESSAGE)


class AnswerSerializer(RequestSerializer):
    """`POST /sagas/answers/`: either `output` or `error`."""

    token = Text(max_length=2000, help_text="what the handler got as `ctx.token`")
    output = serializers.JSONField(
        required=False, allow_null=True, help_text="it is done: the output of the step (or of its undo)"
    )
    error = AnswerErrorSerializer(required=False, help_text="it is not done, surely without an effect")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A token alone says nothing."""
        if ("output" in attrs) == ("error" in attrs):
            raise serializers.ValidationError({"output": ["Expected either output or error."]})
        return attrs


class AnsweredSerializer(serializers.Serializer[None]):
    """What whoever answers is told: nothing that their token did not say."""

    saga = serializers.CharField(help_text="the saga's id")
