"""JSON Schemas: the one module that imports jsonschema, when there is a schema to hold something against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import DefinitionError

#: JSON's types as people call them.
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}
_NAMES: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "nothing",
}


def validator_of(schema: Mapping[str, Any]) -> Any:
    """A validator; the newest draft unless the schema names another. Raises `DefinitionError` for no schema."""
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ImportError as exc:
        raise DefinitionError(f"a JSON Schema needs the package jsonschema ({exc}): pip install 'sagas[yaml]'") from exc
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as exc:
        raise DefinitionError(f"expected a JSON Schema: {exc.json_path}: {exc.message}") from exc
    # An empty registry: without one, references to elsewhere would be fetched from the network.
    return kind(schema, registry=Registry())


def errors_of(validator: Any, value: Any) -> list[Any]:
    """What is wrong with a value. Raises `DefinitionError` when the schema refers to what is not in it."""
    from referencing.exceptions import Unresolvable

    try:
        return list(validator.iter_errors(value))
    except Unresolvable as exc:
        raise DefinitionError(f"a JSON Schema refers to what is not in it: {exc}") from exc


def describe(error: Any) -> str:
    """What a validation error means, without the value: it may be a secret."""
    expected, got = error.validator_value, type_of(error.instance)
    if error.validator == "type":
        wanted = [expected] if isinstance(expected, str) else expected
        return f"expected {' or '.join(_TYPES.get(name, name) for name in wanted)}, got {got}"
    if error.validator in ("required", "additionalProperties", "unevaluatedProperties", "dependentRequired"):
        return str(error.message)  # these quote names only
    if error.validator in ("enum", "const"):
        return f"expected one of {expected!r:.200}, got another value"
    return f"expected {error.validator} {expected!r:.200}, got {got} that is not"


def type_of(value: object) -> str:
    """The word for a value's type."""
    return _NAMES.get(type(value), type(value).__name__)
