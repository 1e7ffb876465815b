"""Rule: an expression such as `large if amount > 10 else small` that names an arm for each request."""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

from lightning_app.errors import nearest

Row = Mapping[str, Any]
Evaluator = Callable[[Row], Any]
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda left, right: left in right, ast.NotIn: lambda left, right: left not in right,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}  # fmt: skip
_DEEPEST = 64
_ALLOWED = (
    "ARM if CONDITION else ARM; conditions of columns, numbers, texts, lists, + - * / %, comparisons, in, and, or, not"
)


class MissingColumnError(ValueError):
    """A request lacks a column that the rule needs, or its value is null or of another type."""


class Rule:
    """A parsed rule.

    Args:
        text: The expression.
        arms: Names of the arms.

    Attributes:
        columns: Columns that it reads.

    Raises:
        ValueError: It is no such expression, or names an unknown arm.
    """

    def __init__(self, text: str, *, arms: Collection[str]) -> None:
        self.columns: list[str] = []
        self._text, self._arms = text, list(arms)
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            raise ValueError(f"policy: {text!r} is no rule; allowed: {_ALLOWED}") from error
        if not isinstance(tree, ast.IfExp):
            raise ValueError(f"policy: {text!r} is neither an arm, weights, a file nor a rule; allowed: {_ALLOWED}")
        self._choose = self._arm(tree, 0)

    def __call__(self, row: Row) -> str:
        """The arm for a request.

        Args:
            row: Values by column.

        Raises:
            MissingColumnError: The row lacks a column, or its value does not fit.
        """
        try:
            arm: str = self._choose(row)
        except (TypeError, ZeroDivisionError) as error:
            raise MissingColumnError(str(error)) from error
        return arm

    def _arm(self, node: ast.expr, depth: int) -> Evaluator:
        if depth > _DEEPEST:
            raise ValueError(f"policy: nested more than {_DEEPEST} times")
        if isinstance(node, ast.IfExp):
            test = self._value(node.test, depth + 1)
            first, second = self._arm(node.body, depth + 1), self._arm(node.orelse, depth + 1)
            return lambda row: first(row) if test(row) else second(row)
        # An arm such as v2-large is parsed as a difference.
        name = str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node).replace(" ", "")
        if name not in self._arms:
            raise ValueError(f"policy: {name!r} is no arm{nearest(name, self._arms)}, allowed: {', '.join(self._arms)}")
        return lambda _: name

    def _value(self, node: ast.expr, depth: int) -> Evaluator:
        if depth > _DEEPEST:
            raise ValueError(f"policy: nested more than {_DEEPEST} times")
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as constant):
                return lambda _: constant
            case ast.Name(id=column):
                return self._column(column)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                values = [self._value(part, depth + 1) for part in parts]
                return lambda row: [value(row) for value in values]
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                negated = self._value(inner, depth + 1)
                return lambda row: not negated(row)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                number = self._value(inner, depth + 1)
                return lambda row: -number(row)
            case ast.BoolOp(op=op, values=parts):
                conditions = [self._value(part, depth + 1) for part in parts]
                combine = all if isinstance(op, ast.And) else any
                return lambda row: combine(condition(row) for condition in conditions)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                calculate = _ARITHMETIC[type(op)]
                first, second = self._value(left, depth + 1), self._value(right, depth + 1)
                return lambda row: calculate(first(row), second(row))
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
                sides = [self._value(part, depth + 1) for part in (left, *others)]
                tests = [_COMPARISONS[type(op)] for op in ops]

                def compared(row: Row) -> bool:
                    pairs = pairwise([side(row) for side in sides])
                    return all(test(*pair) for test, pair in zip(tests, pairs, strict=True))

                return compared
        raise ValueError(f"policy: {ast.unparse(node)!r} in {self._text!r} is not allowed; allowed: {_ALLOWED}")

    def _column(self, column: str) -> Evaluator:
        if column not in self.columns:
            self.columns.append(column)

        def read(row: Row) -> Any:
            value = row.get(column)
            if value is None:
                raise MissingColumnError(column)
            return value

        return read
