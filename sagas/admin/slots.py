"""A JSON Schema as fields of a form: one per key of the context. What a form has no field for is typed as JSON.

The schema only shapes the form. Whether a context will do is asked of the definition's own model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .forms import JsonField

#: Keys that can be part of an element's id.
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
#: References that may follow each other.
_HOPS = 20
#: Longer text gets more than one line.
_LINE = 255
#: What a blank field holds.
BLANK = (None, "")

Schema = Mapping[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """One key of the context, and its field."""

    key: str
    field: forms.Field
    #: What was typed, as JSON has it.
    to_json: Convert
    #: A value of a context, as the field shows it. Raises `ValueError` for one that the field can not show.
    to_form: Convert
    #: A blank field means null, and is not left out.
    null: bool = False

    @property
    def name(self) -> str:
        """The field's."""
        return f"context-{self.key}"


def slots(schema: Schema) -> Iterator[Slot]:
    """A slot for each property, in their order."""
    properties = _followed(schema, schema).get("properties")
    required = schema.get("required")
    for key, inner in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(key, str) and _KEY.fullmatch(key):
            needed = isinstance(required, (list, tuple)) and key in required
            yield _slot(key, inner, schema, needed=needed)


def is_open(schema: Schema) -> bool:
    """Whether a context may have other keys."""
    return schema.get("additionalProperties") is not False and schema.get("unevaluatedProperties") is not False


def _slot(key: str, given: Any, root: Schema, *, needed: bool) -> Slot:
    outer = _followed(given, root)
    inner, null = _without_null(outer, root)
    known = {**inner, **{word: outer[word] for word in ("title", "description", "default") if word in outer}}
    field, to_json, to_form = _made(known, needed=needed and not null)
    field.label = _label(key, known)
    field.help_text = field.help_text or str(known.get("description", ""))[:500]
    if "default" in known:
        try:
            field.initial = to_form(known["default"])
        except ValueError:
            field.initial = None
    return Slot(key, field, to_json, to_form, null=null and needed)


def _label(key: str, schema: Schema) -> str:
    """The key, as the context and its errors have it, unless somebody has thought of a better name."""
    title = schema.get("title")
    made_up = isinstance(title, str) and re.sub(r"\W|_", "", title).casefold() == re.sub(r"\W|_", "", key).casefold()
    return key if made_up or not isinstance(title, str) or not title else title


def _followed(given: Any, root: Schema) -> Schema:
    """The schema behind a reference into the same document."""
    schema: Any = given
    for _hop in range(_HOPS):
        if not isinstance(schema, Mapping):
            return {}
        alone = schema.get("allOf")
        if isinstance(alone, list) and len(alone) == 1 and isinstance(alone[0], Mapping):
            schema = {**alone[0], **{word: value for word, value in schema.items() if word != "allOf"}}
        if not isinstance(schema.get("$ref"), str):
            return dict(schema)
        beside = {word: value for word, value in schema.items() if word != "$ref"}
        schema = {**_found(schema["$ref"], root), **beside}
    return {}


def _found(reference: str, root: Schema) -> Schema:
    found: Any = root
    if not reference.startswith("#/"):
        return {}
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _without_null(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    """What it may be beside null, and whether it may be null."""
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        rest = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    options = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(options, list):
        return schema, False
    known = [_followed(option, root) for option in options]
    rest = [option for option in known if option.get("type") != "null"]
    return (rest[0] if len(rest) == 1 else {}), len(rest) < len(known)


# -- one field ------------------------------------------------------------------------------------------------------

Made = tuple[forms.Field, Convert, Convert]


def _made(schema: Schema, *, needed: bool) -> Made:
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(options, (list, tuple)) and options:
        return _choice([option for option in options if option is not None], needed=needed)
    maker = _MAKERS.get(str(schema.get("type")), _json)
    return maker(schema, needed)


def _choice(options: list[Any], *, needed: bool) -> Made:
    spelt = {_spell(option): option for option in options}
    choices = [("", "---------"), *((text, str(option)) for text, option in spelt.items())]
    field = forms.ChoiceField(choices=choices, required=needed)
    return field, spelt.__getitem__, lambda value: _one_of(_spell(value), spelt)


def _spell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _one_of(text: str, known: Mapping[str, Any]) -> str:
    if text not in known:
        raise ValueError(text)
    return text


def _text(schema: Schema, needed: bool) -> Made:
    longest = schema.get("maxLength")
    limit = longest if isinstance(longest, int) and not isinstance(longest, bool) else None
    if schema.get("format") == "date":
        widget: forms.Widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        return forms.DateField(required=needed, widget=widget, input_formats=["%Y-%m-%d"]), date.isoformat, _date
    if schema.get("format") == "date-time":
        widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
        field = forms.DateTimeField(required=needed, widget=widget, help_text=_("In the admin's time zone."))
        return field, datetime.isoformat, _moment
    widget = forms.Textarea(attrs={"rows": 3}) if limit and limit > _LINE else forms.TextInput()
    return forms.CharField(required=needed, max_length=limit, strip=False, widget=widget), _lines, _plain_text


def _lines(text: str) -> str:
    """With one kind of line ends, whatever the browser sends."""
    return text.replace("\r\n", "\n")


def _plain_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _date(value: Any) -> date:
    return date.fromisoformat(_plain_text(value))


def _moment(value: Any) -> datetime:
    found = parse_datetime(_plain_text(value))
    if found is None or found.tzinfo is None:
        raise ValueError(value)
    return timezone.localtime(found)


def _whole(schema: Schema, needed: bool) -> Made:
    field = forms.IntegerField(required=needed, **_limits(schema, int))
    return field, int, _a(int)


def _number(schema: Schema, needed: bool) -> Made:
    field = forms.FloatField(required=needed, **_limits(schema, (int, float)))
    field.widget.attrs["step"] = "any"
    return field, lambda value: int(value) if value.is_integer() and abs(value) < 1e15 else value, _a((int, float))


def _limits(schema: Schema, kind: Any) -> dict[str, Any]:
    found = {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}
    return {word: value for word, value in found.items() if isinstance(value, kind) and not isinstance(value, bool)}


def _a(kind: Any) -> Convert:
    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ValueError(value)
        return value

    return check


def _flag(schema: Schema, needed: bool) -> Made:
    """A box to tick where there is no third answer."""
    if needed or isinstance(schema.get("default"), bool):
        return forms.BooleanField(required=False), bool, _a_flag
    choices = [("", "---------"), ("true", gettext("yes")), ("false", gettext("no"))]
    field = forms.ChoiceField(choices=choices, required=False)
    return field, lambda text: bool(text == "true"), lambda value: "true" if _a_flag(value) else "false"


def _a_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _json(schema: Schema, needed: bool) -> Made:
    kind = {"array": _("JSON: a list."), "object": _("JSON: an object.")}.get(str(schema.get("type")))
    text = " ".join(str(part) for part in (schema.get("description"), kind or _("JSON; text in quotes.")) if part)
    field = JsonField(required=needed, help_text=text, only_object=schema.get("type") == "object")
    field.widget.attrs["rows"] = 4
    return field, lambda value: value, lambda value: json.dumps(value, indent=2, ensure_ascii=False)


_MAKERS: dict[str, Callable[[Schema, bool], Made]] = {
    "string": _text,
    "integer": _whole,
    "number": _number,
    "boolean": _flag,
}
