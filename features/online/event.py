"""Event: a row of a source as input of a state, with key, times in microseconds, stored values, conditions met."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from features.batch.columns import meets
from features.definitions import Column
from features.definitions.messages import nearest
from features.definitions.source import ColumnType
from features.online.accumulators import Value
from features.online.entity_state import EventId
from features.online.plan import ViewPlan
from features.sources import AVAILABLE, ROW, TIME, Notes, event_times, read_source
from features.sources.times import read_times
from features.sources.types import as_declared

_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400_000_000
_NATIVE: dict[ColumnType, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "str": (str,)}
Key = tuple[Value, ...]


class Event(NamedTuple):
    """A row of a source, ready for a state; times in microseconds."""

    key: Key
    time: int
    available: int
    values: list[Value | None]
    masks: list[bool]
    event_id: EventId | None


class EventReader:
    """Reads rows of a source for one view: cells of Python's own types at once, all others as tables are read.

    Args:
        plan: Plan of the view.
        source: Name of the source, for messages.

    Attributes:
        zones: Whether the times of a column have a zone, by column; filled by the first time of each.
    """

    def __init__(self, plan: ViewPlan, source: str) -> None:
        own = plan.source
        self.zones: dict[str, bool] = {}
        self._plan, self._name, self._place = plan, source, f"source {source!r}"
        keys = plan.entity.keys if plan.entity else {}
        self._keys = [(own.keys.get(key, key), self._cell(own.keys.get(key, key), kind)) for key, kind in keys.items()]
        self._asked = [(key, self._cell(key, kind)) for key, kind in keys.items()]
        self._columns = [(name, self._column(name)) for name in plan.columns]
        self._conditions = [(name, self._column(name), test) for name, test in plan.conditions]

    def read(self, row: Mapping[str, Any]) -> Event | None:
        """Reads a row.

        Args:
            row: Cells by column of the source.

        Returns:
            The event; None if its key, its time or its available time is missing.

        Raises:
            ValueError: A column is missing, a cell is of another type, or zones are mixed.
        """
        own = self._plan.source
        try:
            key: Any = tuple([cell(row[name]) for name, cell in self._keys])
            time = self._time_of_parts(row) if own.time_plus else self._clock(own.time, row[own.time])
            available = time if own.available is None else self._clock(own.available, row[own.available])
            if time is None or available is None or None in key:
                return None
            return Event(
                key,
                time,
                available,
                [cell(row[name]) for name, cell in self._columns],
                [test(cell(row[name])) for name, cell, test in self._conditions],
                event_id([row[name] for name in own.event_id]) if own.event_id else None,
            )
        except KeyError as error:
            name = str(error.args[0])
            raise ValueError(f"{self._place}: the event has no column {name!r}{nearest(name, row)}") from error

    def read_table(self, table: pl.DataFrame, *, notes: Notes) -> Iterator[Event]:
        """Reads rows of a table, in order.

        Args:
            table: Columns of the source.
            notes: Takes counts of events that are left out.

        Raises:
            ValueError: A column is missing or of another type, or zones are mixed.
        """
        own, keys = self._plan.source, self._plan.entity.keys if self._plan.entity else {}
        read = [*self._plan.columns, *(where.column for where in self._plan.wheres)]
        events = read_source(own, name=self._name, keys=keys, notes=notes, table=table, columns=read).collect()
        for column in (TIME, *(name for name in self._plan.columns if own.columns[name].type == "datetime")):
            self._check_zone(own.time if column == TIME else column, getattr(events.schema[column], "time_zone", None))
        times = events[TIME].to_physical().to_list()
        available = events[AVAILABLE].to_physical().to_list() if own.available else times
        cells = [events[name].to_physical().to_list() for name in self._plan.columns]
        masks = [meets(events[where.column], where, place=self._place).tolist() for where in self._plan.wheres]
        ids = table.select(own.event_id)[events[ROW]].rows() if own.event_id else [()] * len(times)
        owners = events.select(list(keys)).rows() if keys else [()] * len(times)
        for i, key in enumerate(owners):
            values, met = [column[i] for column in cells], [mask[i] for mask in masks]
            yield Event(key, times[i], available[i], values, met, event_id(ids[i]) if own.event_id else None)

    def key(self, row: Mapping[str, Any]) -> Key | None:
        """Key of an entity.

        Args:
            row: Cells by key column of the entity.

        Returns:
            The key; None if a part of it is missing.

        Raises:
            ValueError: A key column is absent, or not of its type.
        """
        for name, _ in self._asked:
            if name not in row:
                raise ValueError(f"there is no key column {name!r}{nearest(name, row)}")
        key: Any = tuple([cell(row[name]) for name, cell in self._asked])
        return None if None in key else key

    def asked_time(self, at: datetime) -> int:
        """Microseconds of a time that is asked about.

        Args:
            at: The time.

        Raises:
            ValueError: Of it and the times of the events only one has a zone.
        """
        zoned = self.zones.get(self._plan.source.time)
        if zoned is not None and zoned != (at.tzinfo is not None):
            with_zone = f"the events of {self._place}" if zoned else f"the time {at}"
            raise ValueError(f"only {with_zone} have a time zone; give both a zone, or none")
        return microseconds_of(at)

    def take_zones(self, zones: Mapping[str, bool]) -> None:
        """Adopts the `zones` of another reader.

        Args:
            zones: Whether the times of a column have a zone, by column.

        Raises:
            ValueError: The times that were read before are of the other kind.
        """
        for name, zoned in zones.items():
            self._check_zone(name, UTC if zoned else None)

    def _column(self, name: str) -> Callable[[Any], Value | None]:
        return self._cell(name, self._plan.source.columns[name].type)

    def _cell(self, name: str, kind: ColumnType) -> Callable[[Any], Value | None]:
        if kind == "datetime":
            return lambda cell: self._moment(name, cell)
        native, is_float = _NATIVE[kind], kind == "float"
        declared, place = Column(type=kind), f"{self._place}: column {name!r}"

        def read(cell: Any) -> Value | None:
            if cell is None:
                return None
            if type(cell) not in native:
                cell = as_declared(pl.Series([cell]), declared, place=place, notes=Notes())[0]
            elif is_float:
                cell = None if math.isnan(cell) else float(cell)
            return cell  # type: ignore[no-any-return]

        return read

    def _time_of_parts(self, row: Mapping[str, Any]) -> int | None:
        own = self._plan.source
        cells = pl.DataFrame({name: [row[name]] for name in (own.time, *own.time_plus)})
        return self._first(own.time, event_times(own, cells, place=self._place, notes=Notes()))

    def _clock(self, name: str, cell: Any) -> int | None:
        own = self._plan.source
        if isinstance(cell, datetime) and (own.time_zone is None or cell.tzinfo is not None):
            self._check_zone(own.time, cell.tzinfo)
            return microseconds_of(cell)
        place = f"{self._place}: column {name!r}"
        times = read_times(
            pl.Series([cell]), place=place, time_format=own.time_format, time_zone=own.time_zone, notes=Notes()
        )
        return self._first(own.time, times)

    def _moment(self, name: str, cell: Any) -> int | None:
        if isinstance(cell, datetime):
            self._check_zone(name, cell.tzinfo)
            return microseconds_of(cell)
        if cell is None:
            return None
        declared = self._plan.source.columns.get(name, Column(type="datetime"))
        return self._first(
            name, as_declared(pl.Series([cell]), declared, place=f"{self._place}: column {name!r}", notes=Notes())
        )

    def _first(self, name: str, times: pl.Series) -> int | None:
        if times[0] is None:
            return None
        self._check_zone(name, times[0].tzinfo)
        return microseconds_of(times[0])

    def _check_zone(self, name: str, zone: object) -> None:
        if self.zones.setdefault(name, zone is not None) != (zone is not None):
            raise ValueError(
                f"{self._place}: column {name!r} holds times with and without a zone; write all in one zone, or give "
                "the source a time_zone"
            )


def event_id(cells: "list[Any] | tuple[Any, ...]") -> EventId | None:
    """Identifier of an event; None if a part of it is missing: such an event corrects nothing."""
    if None in cells:
        return None
    return tuple([cell if isinstance(cell, int | float | str) else str(cell) for cell in cells])


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970, of a zoned time in UTC.

    Args:
        moment: The time.
    """
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    since = moment - _EPOCH
    return since.days * _DAY + since.seconds * 1_000_000 + since.microseconds


def moment_of(microseconds: int, *, zoned: bool = False) -> datetime:
    """Inverse of `microseconds_of`.

    Args:
        microseconds: Microseconds since 1970.
        zoned: Give the time with the zone UTC.
    """
    return _EPOCH.replace(tzinfo=UTC if zoned else None) + timedelta(microseconds=microseconds)
