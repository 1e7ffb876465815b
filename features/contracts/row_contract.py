"""RowContract: whether a few rows keep a contract, in plain Python; doubts are left to `Contract.bad_rows`."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from features.contracts.contract import Contract
from features.contracts.rules import Rule
from features.contracts.rules.contract_column import ContractColumn
from features.contracts.rules.row_rules import Allowed, Compare, Monotone, Pattern, Range, Unique
from features.contracts.rules.table_rules import Freshness, Nulls, RowCount, UnknownShare
from features.definitions.cells import TableNeededError, read_moment
from features.definitions.duration import microseconds

Row = Mapping[str, Any]
_EXACT = 2**53
"""Whole numbers up to this are compared with fractions alike here and in tables."""
_KINDS = {bool: "bool", int: "int", float: "float", str: "str", datetime: "datetime"}
_TYPES = {"float": ("float", "int"), "int": ("int",), "bool": ("bool",), "str": ("str",), "datetime": ("datetime",)}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip


class RowContract:
    """A contract compiled for rows of plain Python values.

    Args:
        contract: The contract.
    """

    def __init__(self, contract: Contract) -> None:
        self._columns = dict(contract.columns)
        optional = {name for name, column in contract.columns.items() if not column.required}
        read = {name for rule in contract.rules for name in rule.columns_read}
        self._required = (read | self._columns.keys()) - optional
        self._closed = contract.extra_columns != "allow"
        self._alone = any(isinstance(rule, Unique | Monotone) for rule in contract.rules)
        counts = [rule for rule in contract.rules if isinstance(rule, RowCount)]
        self._least = max((rule.min for rule in counts), default=1)
        self._most = min((rule.max for rule in counts if rule.max is not None), default=math.inf)
        self._rules = [(rule.columns_read, _test(rule)) for rule in contract.rules if not isinstance(rule, RowCount)]

    def keeps(self, rows: Sequence[Row]) -> bool:
        """Whether rows certainly keep every rule; if not, `Contract.bad_rows` tells which one they break, if any.

        Args:
            rows: Cells by column; all rows have the same columns, and each column cells of one type.
        """
        if not self._least <= len(rows) <= self._most or (self._alone and len(rows) > 1):
            return False
        return all(map(self._keeps, rows))

    def _keeps(self, row: Row) -> bool:
        if not self._required <= row.keys() or (self._closed and not row.keys() <= self._columns.keys()):
            return False
        try:
            cells = {name: _read(cell, self._columns.get(name)) for name, cell in row.items()}
        except TableNeededError:
            return False
        for names, test in self._rules:
            values = [cells[name] for name in names if name in cells]
            if len(values) == len(names) and not test(*values):
                return False
        return True


def _read(cell: Any, declared: ContractColumn | None) -> Any:
    """A cell in its declared type; texts may be times."""
    if cell is None or declared is None or declared.type == "any":
        return cell
    kind = _KINDS.get(type(cell))
    if declared.type == "datetime" and (declared.time_zone is not None or declared.time_format is not None):
        raise TableNeededError
    if declared.type == "datetime" and kind in ("str", "datetime"):
        moment = read_moment(cell)
        if moment is not None and moment.tzinfo is None:
            return moment
        raise TableNeededError
    if kind not in _TYPES.get(declared.type, ()):
        raise TableNeededError
    return cell


def _test(rule: Rule) -> Callable[..., bool]:
    """Whether cells certainly keep a rule; a function of the columns that it reads."""
    match rule:
        case Range():
            return _range(rule)
        case Allowed() | UnknownShare():
            return _membership(rule.values)
        case Pattern():
            return lambda cell: cell is None or (type(cell) is str and _matches(cell, rule.whole_cell))
        case Compare():
            compare = _COMPARE[rule.operator]
            return lambda left, right: left is None or right is None or (_alike(left, right) and compare(left, right))
        case Nulls():
            return lambda cell: _kind(cell) is not None
        case Freshness():
            return _freshness(rule)
        case Unique():
            return lambda *cells: all(cell is None or _kind(cell) is not None for cell in cells)
        case Monotone():
            return lambda *cells: cells[0] is None or _kind(cells[0]) in ("int", "float", "datetime")
    return lambda *_: False


def _range(rule: Range) -> Callable[[Any], bool]:
    above = operator.gt if rule.min_excluded else operator.ge
    below = operator.lt if rule.max_excluded else operator.le
    low, high = _bound(rule.min), _bound(rule.max)
    kinds = {_kind(bound) for bound in (low, high) if bound is not None}
    of_times = kinds == {"datetime"}

    def test(cell: Any) -> bool:
        if cell is None:
            return True
        kind = _kind(cell)
        fits = kind == "datetime" if of_times else kind in ("int", "float") and not kinds - {"int", "float"}
        return fits and (low is None or above(cell, low)) and (high is None or below(cell, high))

    return test


def _bound(bound: Any) -> Any:
    """A bound as a number or a time; text where it is no time without a zone."""
    if not isinstance(bound, str):
        return bound
    try:
        moment = datetime.fromisoformat(bound)
    except ValueError:
        return bound
    return bound if moment.tzinfo is not None else moment


def _membership(values: tuple[Any, ...]) -> Callable[[Any], bool]:
    kinds = {_kind(value) for value in values}
    members = frozenset(values)

    def test(cell: Any) -> bool:
        if cell is None:
            return True
        kind = _kind(cell)
        fits = kinds <= {"int", "float"} if kind == "float" else kinds == {kind}
        return fits and kind in ("str", "int", "float", "bool") and cell in members

    return test


def _matches(cell: str, pattern: str) -> bool:
    return bool(pl.Series([cell]).str.contains(pattern)[0])  # Rust's regular expressions, not Python's


def _freshness(rule: Freshness) -> Callable[[Any], bool]:
    largest = timedelta(microseconds=microseconds(rule.max_age))

    def test(cell: Any) -> bool:
        if _kind(cell) != "datetime" or rule.time_zone != "UTC":
            return False
        now = datetime.now(UTC).replace(tzinfo=None)
        return cell <= now and now - cell < largest

    return test


def _kind(cell: Any) -> str | None:
    """Type of a cell that is not missing and that compares here as in a table; None of all others."""
    kind = _KINDS.get(type(cell))
    if kind == "float" and not (math.isfinite(cell) and abs(cell) <= _EXACT):
        return None
    if (kind == "int" and abs(cell) > _EXACT) or (kind == "datetime" and cell.tzinfo is not None):
        return None
    return kind


def _alike(left: Any, right: Any) -> bool:
    kinds = {_kind(left), _kind(right)}
    return None not in kinds and "bool" not in kinds and (len(kinds) == 1 or kinds == {"int", "float"})
