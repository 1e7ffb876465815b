"""Event as a state takes it: keys, times in microseconds, values of the stored columns, conditions met."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from features.definitions import Column
from features.definitions.duration import microseconds
from features.definitions.messages import nearest
from features.online.accumulators import Value
from features.online.entity_state import EventId
from features.online.plan import ViewPlan

_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400_000_000
Key = tuple[Value, ...]
_NATIVE: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "str": (str,)}


class Event(NamedTuple):
    """A row of a source, ready for a state."""

    key: Key
    time: int
    available: int
    values: list[Value | None]
    masks: list[bool]
    event_id: EventId | None


class EventReader:
    """Reads rows of a source for one view.

    Args:
        plan: Plan of the view.
        source: Name of the source, for messages.
    """

    def __init__(self, plan: ViewPlan, source: str) -> None:
        self._place = f"source {source!r}"
        own, clocks = plan.source, plan.source
        zone = ZoneInfo(clocks.time_zone) if clocks.time_zone else None
        declared = {name: own.columns[name] for name in plan.columns}
        self._keys = [
            (own.keys.get(key, key), self._cell(own.keys.get(key, key), Column(type=kind)))
            for key, kind in (plan.entity.keys.items() if plan.entity else ())
        ]
        self._time, self._available = own.time, own.available
        self._plus = [(name, microseconds(length)) for name, length in own.time_plus.items()]
        self._clock = lambda name, cell: self._moment(name, cell, zone)
        self._columns = [(name, self._cell(name, column)) for name, column in declared.items()]
        self._conditions = [(name, self._cell(name, own.columns[name]), test) for name, test in plan.conditions]
        self._ids = own.event_id
        self._zoned: dict[str, bool] = {}

    def read(self, row: Mapping[str, Any]) -> Event | None:
        """Reads a row.

        Args:
            row: Cells by column of the source.

        Returns:
            The event; None if its key, its time or its available time is missing.

        Raises:
            ValueError: A column is missing, or a cell is of another type.
        """
        try:
            key: Any = tuple([cell(row[name]) for name, cell in self._keys])
            time = self._clock(self._time, row[self._time])
            available = time if self._available is None else self._clock(self._available, row[self._available])
            if time is None or available is None or any(part is None for part in key):
                return None
            for name, length in self._plus:
                time += row[name] * length
            return Event(
                key,
                time,
                available if self._available is not None else time,
                [cell(row[name]) for name, cell in self._columns],
                [test(cell(row[name])) for name, cell, test in self._conditions],
                self._event_id(row) if self._ids else None,
            )
        except KeyError as error:
            name = str(error.args[0])
            raise ValueError(f"{self._place}: the event has no column {name!r}{nearest(name, row)}") from error

    def _event_id(self, row: Mapping[str, Any]) -> EventId | None:
        cells = tuple([row[name] for name in self._ids])
        if None in cells:
            return None
        return tuple([cell if isinstance(cell, int | float | str) else str(cell) for cell in cells])

    def _cell(self, name: str, column: Column) -> Callable[[Any], Value | None]:
        if column.type == "datetime":
            return lambda cell: self._moment(name, cell, None)
        native = _NATIVE[column.type]
        is_float = column.type == "float"

        def read(cell: Any) -> Value | None:
            if cell is None:
                return None
            if type(cell) not in native:
                raise ValueError(
                    f"{self._place}: column {name!r} holds {cell!r}; its type is declared as {column.type}"
                )
            if is_float:
                number = float(cell)
                return None if math.isnan(number) else number
            return cell  # type: ignore[no-any-return]

        return read

    def _moment(self, name: str, cell: Any, zone: ZoneInfo | None) -> int | None:
        if cell is None:
            return None
        if isinstance(cell, str):
            cell = datetime.fromisoformat(cell)
        if not isinstance(cell, datetime):
            raise ValueError(f"{self._place}: column {name!r} holds {cell!r}, a datetime is needed")
        if cell.tzinfo is None and zone is not None:
            cell = cell.replace(tzinfo=zone)
        return microseconds_of(cell)


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970, of a zoned time in UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    since = moment - _EPOCH
    return since.days * _DAY + since.seconds * 1_000_000 + since.microseconds
