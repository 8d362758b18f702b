"""The small safe language of `when="requires_shipping and total > 100"`: names of the context, comparisons, `and`,
`or`, `not`, arithmetic. Parsed with Python's grammar, walked by hand: nothing is ever evaluated as code.

Names are keys of the context; `address.country` and `items[0]` look inside; `outputs.charge_payment.amount` is what a
step returned. A key that is not there is None.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from .errors import DefinitionError, PayloadError

MAX_LENGTH = 500

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, many: item in many,
    ast.NotIn: lambda item, many: item not in many,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_FINE = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.BinOp, ast.Name,
    ast.Load, ast.Constant, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, *_COMPARE, *_ARITHMETIC,
)  # fmt: skip


@lru_cache(maxsize=1024)
def parse(text: str) -> ast.expr:
    """The expression. Raises `DefinitionError` that says what is not allowed in it."""
    if not text.strip() or len(text) > MAX_LENGTH:
        raise DefinitionError(f"condition: expected an expression of 1 to {MAX_LENGTH} characters, got {text!r:.80}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise DefinitionError(f"condition {text!r}: expected an expression such as 'total > 100', {exc}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _FINE) or not _plain(node):
            raise DefinitionError(
                f"condition {text!r}: expected names, numbers, texts, comparisons, arithmetic, and, or, not; got "
                f"{ast.unparse(node)!r}"
            )
    return tree.body


def _plain(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None or isinstance(node.value, (bool, int, float, str))
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, (int, str))
    if isinstance(node, (ast.Attribute, ast.Name)):
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        return not name.startswith("__")
    return True


def value_of(text: str, context: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """The expression's value. Raises `PayloadError` when its parts do not fit together."""
    names = {"outputs": outputs, "true": True, "false": False, "null": None}
    try:
        return _value(parse(text), _Names(context, names))
    except (TypeError, ZeroDivisionError, OverflowError, RecursionError) as exc:
        raise PayloadError(f"condition {text!r}: its values do not fit together: {exc}") from None


def holds(text: str, context: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
    """Whether the expression is true. Raises `PayloadError` when its values do not fit together."""
    return bool(value_of(text, context, outputs))


class _Names:
    def __init__(self, context: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        self._context = context
        self._more = more

    def __getitem__(self, name: str) -> Any:
        return self._context[name] if name in self._context else self._more.get(name)


def _value(node: ast.expr, names: _Names) -> Any:
    return _KINDS[type(node)](node, names)


def _bool(node: Any, names: _Names) -> Any:
    found: Any = None
    for part in node.values:
        found = _value(part, names)
        if bool(found) is isinstance(node.op, ast.Or):
            return found
    return found


def _unary(node: Any, names: _Names) -> Any:
    found = _value(node.operand, names)
    return not found if isinstance(node.op, ast.Not) else -found


def _compare(node: Any, names: _Names) -> bool:
    left = _value(node.left, names)
    for kind, part in zip(node.ops, node.comparators, strict=True):
        right = _value(part, names)
        if not _COMPARE[type(kind)](left, right):
            return False
        left = right
    return True


def _binary(node: Any, names: _Names) -> Any:
    left, right = _value(node.left, names), _value(node.right, names)
    if not all(isinstance(side, (int, float)) for side in (left, right)):
        raise TypeError(f"expected two numbers, got {type(left).__name__} and {type(right).__name__}")
    return _ARITHMETIC[type(node.op)](left, right)


def _inside(node: Any, names: _Names) -> Any:
    found = _value(node.value, names)
    key = node.attr if isinstance(node, ast.Attribute) else node.slice.value
    if isinstance(found, Mapping):
        return found.get(key)
    if isinstance(found, Sequence) and not isinstance(found, str) and isinstance(key, int):
        return found[key] if -len(found) <= key < len(found) else None
    return None


_KINDS: dict[type, Callable[[Any, _Names], Any]] = {
    ast.BoolOp: _bool,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.BinOp: _binary,
    ast.Name: lambda node, names: names[node.id],
    ast.Constant: lambda node, names: node.value,
    ast.Attribute: _inside,
    ast.Subscript: _inside,
    ast.List: lambda node, names: [_value(part, names) for part in node.elts],
    ast.Tuple: lambda node, names: tuple(_value(part, names) for part in node.elts),
}
