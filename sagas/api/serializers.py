"""Bodies: the one body of a saga, and the few fields that a client may send. Nothing else is writable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, TypedDict

from rest_framework import ISO_8601, serializers

from ..definitions.ids import id_text
from ..definitions.sensitive import shown as shown_payload
from ..exceptions import MAX_MESSAGE
from ..models import Saga, Step
from ..models.saga import SAGA_STATES
from ..models.step import STEP_STATUSES
from . import reading

#: Unknown fields of a request that are named in the answer.
_NAMED = 10


class StepError(TypedDict):
    """Why a step failed, or what its last attempt ended in."""

    code: str
    message: str


class Time(serializers.DateTimeField):
    """ISO 8601 in UTC, whatever the host's formats and time zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format=ISO_8601, default_timezone=UTC, read_only=True, **kwargs)


class JSONObject(serializers.JSONField):
    """A JSON object."""

    default_error_messages = {"no_object": "Expected an object."}
    #: What drf-spectacular says of it.
    _spectacular_annotation = {"field": {"type": "object", "additionalProperties": {}}}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Refuse what is none."""
        if not isinstance(data, dict):
            self.fail("no_object")
        return data


class Hidden:
    """A payload without what is sensitive: over REST nobody gets it, whatever their rights."""

    def get_attribute(self, instance: Any) -> Any:
        """Of a saga, or of a step whose saga is at hand."""
        value = super().get_attribute(instance)  # type: ignore[misc]
        return (
            shown_payload(value, instance.saga.name, instance.action)
            if isinstance(instance, Step)
            else (shown_payload(value, instance.name))
        )


class HiddenJSON(Hidden, serializers.JSONField):
    """Any JSON."""


class HiddenObject(Hidden, JSONObject):
    """A JSON object."""


class StepSerializer(serializers.Serializer[Step]):
    """A step in a saga's body."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(read_only=True)
    action = serializers.CharField(read_only=True)
    compensation = serializers.CharField(read_only=True, help_text="empty: nothing to undo")
    input = HiddenJSON(read_only=True, allow_null=True, help_text="null until the step is ready")
    output = HiddenJSON(read_only=True, allow_null=True)
    undo_output = HiddenJSON(read_only=True, allow_null=True, help_text="what its compensation returned")
    status = serializers.ChoiceField(choices=STEP_STATUSES, read_only=True)
    round = serializers.IntegerField(read_only=True, help_text="+1 when the step is opened anew, with new keys")
    attempt = serializers.IntegerField(read_only=True)
    progress = serializers.FloatField(
        source="current_progress", read_only=True, allow_null=True, help_text="0 to 1, of the attempt that runs now"
    )
    in_doubt = serializers.BooleanField(source="doubt", read_only=True, help_text="it may have had an effect")
    waits = serializers.SerializerMethodField(help_text="answer, signal, timer, approval or child; null while not")
    child = serializers.SerializerMethodField(help_text="the child saga that it has started; null where there is none")
    due_at = Time(allow_null=True, help_text="the end of its wait, or its next attempt")
    hold = serializers.SerializerMethodField(help_text="why a person must look at it; null when nobody must")
    approved_by = serializers.SerializerMethodField()
    owner = serializers.SerializerMethodField(help_text="who looks after what a person is asked for")
    error = serializers.SerializerMethodField()
    executed_at = Time(allow_null=True)
    compensated_at = Time(allow_null=True)

    def get_error(self, step: Step) -> StepError | None:
        """Null while nothing went wrong."""
        if not step.error_code:
            return None
        return {"code": step.error_code, "message": step.error_message}

    def get_waits(self, step: Step) -> str | None:
        """The word."""
        return step.waits or None

    def get_child(self, step: Step) -> str | None:
        """Its ULID."""
        return None if step.child_id is None else id_text(step.child_id)

    def get_hold(self, step: Step) -> str | None:
        """The word."""
        return step.hold or None

    def get_approved_by(self, step: Step) -> list[str]:
        """Their names."""
        return step.approved_by.splitlines()

    def get_owner(self, step: Step) -> str | None:
        """Their name."""
        return step.owner or None


class SagaSerializer(serializers.Serializer[Saga]):
    """The body of a saga, everywhere."""

    id = serializers.CharField(source="ulid", read_only=True, help_text="a ULID")
    name = serializers.CharField(read_only=True)
    version = serializers.CharField(read_only=True)
    state = serializers.ChoiceField(choices=SAGA_STATES, read_only=True)
    revision = serializers.IntegerField(read_only=True, help_text="+1 with each transition")
    attention = serializers.SerializerMethodField(help_text="why a person must look; null when nobody must")
    stale_since = Time(allow_null=True)
    paused_at = Time(allow_null=True)
    deadline_at = Time(allow_null=True)
    context = HiddenObject(read_only=True)  # type: ignore[assignment]  # a field's name, not its attribute
    parent = serializers.SerializerMethodField(  # type: ignore[assignment]  # likewise
        help_text="the saga whose step started it; null where none did"
    )
    created_at = Time()
    updated_at = Time()
    completed_at = Time(allow_null=True)
    steps = StepSerializer(many=True, read_only=True, source="shown_steps")

    def get_parent(self, saga: Saga) -> str | None:
        """Its ULID."""
        return None if saga.parent_id is None else id_text(saga.parent_id)

    def get_attention(self, saga: Saga) -> str | None:
        """The reason."""
        return saga.attention or None


class Text(serializers.CharField):
    """Text, and nothing that merely can be printed."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse numbers."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Revision(serializers.IntegerField):
    """A whole number, and nothing that merely can be read as one."""

    def to_internal_value(self, data: Any) -> int:
        """Refuse text, fractions and truth values."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class RequestSerializer(serializers.Serializer[None]):
    """What a client sends: the declared fields and no others."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse unknown fields, so that no misspelt one is silently without effect."""
        if isinstance(data, Mapping):
            unknown = [f"{field:.80}" for field in data if field not in self.fields]
            if unknown:
                raise serializers.ValidationError({field: ["Unknown field."] for field in unknown[:_NAMED]})
        return super().to_internal_value(data)


class StartSerializer(RequestSerializer):
    """`POST /sagas/`."""

    name = Text(max_length=100, help_text="name of a saga definition that is meant for REST")
    context = JSONObject(required=False, help_text="an object")  # type: ignore[assignment]


class OperateSerializer(RequestSerializer):
    """`POST /sagas/{id}/compensate/` and its like."""

    reason = Text(max_length=MAX_MESSAGE, help_text="kept in the saga's history")
    expected_revision = Revision(
        required=False, min_value=1, help_text="the revision you looked at: 409 when the saga has moved since"
    )


def checked(serializer: RequestSerializer) -> dict[str, Any]:
    """What was sent, if it is usable. Raises `ValidationError`."""
    serializer.is_valid(raise_exception=True)
    found: dict[str, Any] = serializer.validated_data
    return found


def shown(saga: Saga) -> Any:
    """The body."""
    return SagaSerializer(reading.body(saga)).data


class ErrorDetailSerializer(serializers.Serializer[None]):
    """What went wrong."""

    code = serializers.CharField(help_text="a short stable word for programs")
    message = serializers.CharField()
    details = serializers.DictField(required=False, help_text="complaints by field; state or revision")


class ErrorSerializer(serializers.Serializer[None]):
    """The body of every error."""

    error = ErrorDetailSerializer()
