"""Plan of a view: its features of history compiled to indexes, for updates and reads without lookups by name."""

import hashlib
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from features.batch.columns import meets
from features.definitions import Aggregate, Decayed, Definitions, HistoryFeature, Lag, TimeSince, Where
from features.definitions.duration import microseconds
from features.online.accumulators import Accumulator, Counter, Distinct, First, Largest, Last, Smallest, Spread, Sum
from features.online.decay import DecayedSum

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KEPT: dict[str, Callable[[], Accumulator]] = {
    "count": Counter,
    "sum": Sum,
    "mean": Sum,
    "std": Spread,
    "min": Smallest,
    "max": Largest,
    "first": First,
    "last": Last,
    "distinct": Distinct,
}
_DTYPES: dict[str, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "str": pl.String(),
    "datetime": pl.Datetime("us"),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Events that a bounded feature reads.

    Attributes:
        column: Index of the stored column; None for the events themselves.
        where: Index of the condition; None for all events.
        window: Length of time, in microseconds.
        rows: Number of last events, instead of a window.
        offset: How far before t the selection ends.
    """

    column: int | None
    where: int | None
    window: int | None
    rows: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Unbounded:
    """Input of an unbounded feature: an accumulator, and the events that it does not contain yet."""

    make: Callable[[], Accumulator]
    column: int | None
    where: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Step:
    """A feature, compiled.

    Attributes:
        name: Its name.
        function: Name of the function.
        selection: Index of its selection; None for lags and unbounded features.
        accumulator: Index of its accumulator; None for lags and bounded features.
        column: Index of the column of a lag.
        rows: Rows of a lag.
        per: Unit of a time since an event, in microseconds.
        datetime: Column whose times, kept in microseconds, the values are; None if they are no times.
        is_whole: The value is a sum of whole numbers.
    """

    name: str
    function: str
    selection: int | None = None
    accumulator: int | None = None
    column: int | None = None
    rows: int = 0
    per: int = 1
    datetime: str | None = None
    is_whole: bool = False


class ViewPlan:
    """A view compiled for online use.

    Attributes:
        columns: Stored columns of the source.
        wheres: The conditions.
        conditions: Column and test of each condition.
        selections: Inputs of bounded features.
        unbounded: Inputs of unbounded features.
        steps: The features, in the order of the view.
        retention: Events older than this are read by no feature of a window.
        offset: Largest offset of an unbounded feature.
        last_rows: Condition, number and offset of the last events that are read however old they are.
        keeps_all: No event is dropped, as a correction may change what an unbounded or row-counting feature says.
        ttl: Age of the newest event from which all is missing.
        digest: sha256 of all that the content of a state depends on.
    """

    def __init__(self, name: str, definitions: Definitions) -> None:
        view = definitions.views[name]
        if view.source is None or not view.history:
            raise ValueError(f"view {name!r} has no features of history, so it has no online state")
        self.source = definitions.sources[view.source]
        self.entity = definitions.entities[view.entity] if view.entity is not None else None
        self.ttl = microseconds(view.ttl) if view.ttl else None
        self.columns: list[str] = []
        self.wheres: list[Where] = []
        self._place = f"views.{name}"
        self.selections: list[Selection] = []
        self.unbounded: list[Unbounded] = []
        self._unbounded_keys: list[tuple[Any, ...]] = []
        self.steps = [self._step(key, feature) for key, feature in view.history.items()]
        self.conditions = [(where.column, self._test(where)) for where in self.wheres]
        offsets = [one.offset for one in self.unbounded]
        lags = [step.rows for step in self.steps if step.function == "lag"]
        self.offset = max(offsets, default=0)
        self.last_rows = sorted(
            {(one.where, one.rows, one.offset) for one in self.selections if one.rows is not None}
            | ({(None, max(lags), 0)} if lags else set()),
            key=str,
        )
        self.retention = max(
            [one.offset + (one.window or 0) for one in self.selections] + [self.offset, self.ttl or 0],
        )
        self.keeps_all = bool(self.source.event_id) and bool(self.unbounded or self.last_rows)
        self.digest = self._digest()

    def accumulators(self) -> list[Accumulator]:
        """New accumulators, one per entry of `unbounded`."""
        return [one.make() for one in self.unbounded]

    def _step(self, name: str, feature: HistoryFeature) -> Step:
        if isinstance(feature, Lag):
            column = self._column(feature.column)
            datetime = feature.column if self._is_datetime(feature.column) else None
            return Step(name, "lag", column=column, rows=feature.rows, datetime=datetime)
        where = self._where(feature.where)
        if isinstance(feature, TimeSince):
            kept = self._keep(feature.event, First if feature.event == "first" else Last, None, where, 0)
            return Step(name, "time_since", accumulator=kept, per=microseconds(feature.per))
        if isinstance(feature, Decayed):
            half_life = microseconds(feature.half_life)
            kept = self._keep(half_life, lambda: DecayedSum(half_life), self._column(feature.column), where, 0)
            return Step(name, f"decayed_{feature.function}", accumulator=kept)
        return self._aggregate(name, feature, where)

    def _aggregate(self, name: str, feature: Aggregate, where: int | None) -> Step:
        column = self._column(feature.column)
        offset = microseconds(feature.offset) if feature.offset else 0
        is_cell = feature.function in ("min", "max", "first", "last")
        datetime = feature.column if is_cell and self._is_datetime(feature.column) else None
        if feature.window is None and feature.rows is None:
            make = _KEPT[feature.function]
            kept = self._keep(make.__name__, make, column, where, offset)
            is_whole = feature.function == "sum" and self.source.columns[feature.column or ""].type != "float"
            return Step(name, feature.function, accumulator=kept, datetime=datetime, is_whole=is_whole)
        window = microseconds(feature.window) if feature.window else None
        selection = Selection(column, where, window, feature.rows, offset)
        if selection not in self.selections:
            self.selections.append(selection)
        index = self.selections.index(selection)
        return Step(name, feature.function, selection=index, datetime=datetime)

    def _column(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self.columns:
            self.columns.append(name)
        return self.columns.index(name)

    def _is_datetime(self, name: str | None) -> bool:
        return name is not None and self.source.columns[name].type == "datetime"

    def _where(self, where: Where | None) -> int | None:
        if where is None:
            return None
        bare = Where(column=where.column, op=where.op, value=where.value)
        same = [i for i, one in enumerate(self.wheres) if (one, type(one.value)) == (bare, type(bare.value))]
        if same:
            return same[0]
        self.wheres.append(bare)
        return len(self.wheres) - 1

    def _keep(
        self, kind: object, make: Callable[[], Accumulator], column: int | None, where: int | None, offset: int
    ) -> int:
        key = (kind, column, where, offset)
        if key not in self._unbounded_keys:
            self._unbounded_keys.append(key)
            self.unbounded.append(Unbounded(make, column, where, offset))
        return self._unbounded_keys.index(key)

    def _test(self, where: Where) -> Callable[[Any], bool]:
        compare, value = _COMPARE[where.op], where.value
        meets(pl.Series([], dtype=_DTYPES[self.source.columns[where.column].type]), where, place=self._place)
        if self._is_datetime(where.column):
            value = pl.Series([value]).str.to_datetime(time_unit="us").to_physical()[0]
        return lambda cell: cell is not None and compare(cell, value)

    def _digest(self) -> str:
        keys = sorted(self.entity.keys.items()) if self.entity else []
        content = [
            keys,
            [(name, self.source.columns[name].type) for name in self.columns],
            self.wheres,
            [self.source.columns[where.column].type for where in self.wheres],
            [str(one) for one in self.selections],
            [str(key) for key in self._unbounded_keys],
            sorted(map(str, self.last_rows)),
            [self.source.available is not None, list(self.source.event_id), self.ttl],
        ]
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
