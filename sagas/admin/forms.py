"""What an operator types into a confirmation: always a reason, for some verbs more. What is wrong is said there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..core.payload import object_text, to_text
from ..engine.operate import MAX_ACTOR
from ..exceptions import MAX_MESSAGE, PayloadError
from .told import told

if TYPE_CHECKING:
    from .signalling import Taker

_JSON = {"rows": 8, "class": "vLargeTextField saga-code", "spellcheck": "false", "autocomplete": "off"}


class ReasonForm(forms.Form):
    """Why it is done."""

    #: What the engine looks into before it does it: what it finds wrong is said beside this field.
    payload_field: ClassVar[str | None] = None

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        help_text=_("Stays in the saga's history, with your name."),
        error_messages={"required": _("Say why: the reason stays in the saga's history.")},
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
    )

    def clean_reason(self) -> str:
        """With one kind of line ends, whatever the browser sends."""
        return str(self.cleaned_data["reason"]).replace("\r\n", "\n")


class JsonField(forms.CharField):
    """A value as JSON text, read as strictly as it will be stored. Empty = None."""

    def __init__(self, *, only_object: bool = False, **kwargs: Any) -> None:
        self.only_object = only_object
        super().__init__(widget=forms.Textarea(attrs=_JSON), **kwargs)

    def clean(self, value: Any) -> Any:
        """The value. Raises `ValidationError` for whatever is no JSON, or could not be stored."""
        text = super().clean(value)
        if not text:
            return None
        found, settings = _read(text), app_settings()
        check, limit = (object_text, settings.MAX_CONTEXT) if self.only_object else (to_text, settings.MAX_OUTPUT)
        try:
            check(found, what=str(self.label), limit=limit)
        except PayloadError as exc:
            raise ValidationError(told(exc.message)) from exc
        return found


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError as exc:
        raise ValidationError(gettext("This is nested far too deep.")) from exc
    except ValueError as exc:
        raise ValidationError(gettext("This is not JSON: %(why)s") % {"why": exc}) from exc


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in an object")
    return found


class RestartForm(ReasonForm):
    """The new saga's context."""

    payload_field = "context"
    field_order = ("context",)
    context = JsonField(
        label=_("Context"),
        required=False,
        only_object=True,
        help_text=_("A JSON object: what the new saga is started with. Empty: the old one's."),
    )


class RetryWithForm(ReasonForm):
    """Another input."""

    payload_field = "input"
    field_order = ("input",)
    input = JsonField(
        label=_("Input"), only_object=True, help_text=_("A JSON object: what the step gets in place of its input.")
    )


class SkipForm(ReasonForm):
    """A substitute for the output."""

    payload_field = "output"
    field_order = ("output",)
    output = JsonField(
        label=_("Output"),
        required=False,
        help_text=_("JSON, in place of what the step would have returned. Empty: nothing."),
    )


class ResolveForm(ReasonForm):
    """What was found out, or done by hand."""

    payload_field = "output"
    field_order = ("done", "output")
    done = forms.TypedChoiceField(
        label=_("What is known?"),
        choices=[
            ("yes", _("It is done (a debt: it is undone now).")),
            ("no", _("It surely never happened (a debt: it will stay as it is).")),
        ],
        coerce=lambda value: value == "yes",
        empty_value=None,
        widget=forms.RadioSelect,
    )
    output = JsonField(
        label=_("Output"),
        required=False,
        help_text=_("JSON: what a step that is done would have returned. Empty: nothing."),
    )

    def clean(self) -> dict[str, Any]:
        """What never happened has no output."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        if found.get("done") is False and found.get("output") is not None:
            self.add_error("output", gettext("What never happened has no output."))
        return found


class AssignForm(ReasonForm):
    """Who looks after a step that asks for a person; of a debt also when it is tried next."""

    payload_field = "next_try"
    field_order = ("owner", "next_try")
    owner = forms.CharField(
        label=_("Owner"),
        required=False,
        max_length=MAX_ACTOR,
        help_text=_("Who looks after it. Empty: nobody."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    next_try = forms.DateTimeField(
        label=_("Next try"),
        required=False,
        help_text=_("When its compensation is tried next, in the admin's time zone. Empty: not by itself."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(self, *args: Any, is_debt: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_debt:
            del self.fields["next_try"]


class SignalForm(ReasonForm):
    """Which signal, and what comes with it."""

    payload_field = "payload"
    field_order = ("name", "payload")
    name = forms.ChoiceField(label=_("Signal"))
    payload = JsonField(
        label=_("Payload"),
        required=False,
        help_text=_("JSON: becomes the step's output. Empty: an empty object."),
    )

    def __init__(self, *args: Any, takers: Sequence[Taker] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast("forms.ChoiceField", self.fields["name"]).choices = [(taker.signal, str(taker)) for taker in takers]
