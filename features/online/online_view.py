"""Online view: the states of all entities of one feature view, updated event by event, read at a time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from features.batch.reasons import Reason
from features.definitions import Definitions
from features.definitions.messages import nearest
from features.online.entity_state import EntityState, EventId
from features.online.event import Event, EventReader, Key, moment_of
from features.online.plan import ViewPlan
from features.online.reading import Answer, read_state
from features.online.state_bytes import decode_state, encode_state
from features.sources import Notes


class OnlineView:
    """Features of history of one view, online.

    At a time t the values are those of the batch form over all events that have arrived. Events may arrive late, and
    corrections at any time. What has left all windows is dropped or folded into sums; a read before the time at which
    that happened is refused. Memory is bounded by the windows, but for a view over a source with `event_id` that has
    features over all of the past, row counts or lags: it keeps all events, as each of them may be corrected.

    Two limits: without such features, a version of an event that arrives after a later version of it has left all
    windows is taken for a new event; and a correction that moves an event to another entity finds it only if that
    entity's state is here.

    Args:
        name: Name of the view.
        definitions: The definitions.

    Attributes:
        name: Name of the view.
        plan: The view, compiled.
        skipped: Number of events without key, time or available time, which were left out.

    Raises:
        ValueError: The view is unknown or has no features of history.
    """

    def __init__(self, name: str, definitions: Definitions) -> None:
        if name not in definitions.views:
            raise ValueError(f"view {name!r} is not defined{nearest(name, definitions.views)}")
        self.name = name
        self.plan = ViewPlan(name, definitions)
        self.skipped = 0
        self._reader = EventReader(self.plan, definitions.views[name].source or "")
        self._states: dict[Key, EntityState] = {}
        self._owners: dict[EventId, Key] = {}
        self._times = [(i, step.datetime) for i, step in enumerate(self.plan.steps) if step.datetime is not None]

    @property
    def features(self) -> list[str]:
        """Names of the features, in the order of their values."""
        return [step.name for step in self.plan.steps]

    def zone(self, feature: str) -> str | None:
        """Zone of the times that a feature gives, as far as events have shown; None without one.

        Args:
            feature: A feature whose values are datetimes.
        """
        column = self.plan.steps[self.features.index(feature)].datetime
        return "UTC" if self._reader.zones.get(column or "", False) else None

    def update(self, row: Mapping[str, Any]) -> Key | None:
        """Takes an event.

        Args:
            row: Cells by column of the source.

        Returns:
            Key of the entity; None if the event was left out as it has no key or no time.

        Raises:
            ValueError: A column is missing, a cell is of another type, or zones are mixed.
        """
        event = self.read_event(row)
        if event is None:
            return None
        self.add(event)
        return event.key

    def update_table(self, table: pl.DataFrame, *, notes: Notes | None = None) -> set[Key]:
        """Takes events in the order of a table.

        Args:
            table: Columns of the source.
            notes: Takes counts of what was left out; None writes them as warnings of the logger `features`.

        Returns:
            Keys of the entities.

        Raises:
            ValueError: A column is missing or of another type, or zones are mixed.
        """
        said = Notes() if notes is None else notes
        keys = set()
        for event in self.read_table(table, notes=said):
            self.add(event)
            keys.add(event.key)
        if notes is None:
            said.log()
        return keys

    def key(self, row: Mapping[str, Any]) -> Key | None:
        """Key of an entity, of the declared types.

        Args:
            row: Cells by key column of the entity.

        Returns:
            The key; None if a part of it is missing.

        Raises:
            ValueError: A key column is absent, or not of its type.
        """
        try:
            return self._reader.key(row)
        except ValueError as error:
            raise ValueError(f"view {self.name!r}: {error}") from error

    def values(self, key: Key | None, at: datetime | int) -> Answer:
        """Values and reasons in the order of `features`.

        Args:
            key: Values of the entity's keys; None for a row without a key, of which all is missing.
            at: Time t; a number is in microseconds since 1970, in UTC where times have a zone.

        Raises:
            ValueError: The state no longer has what was visible at t, or zones are mixed.
        """
        count = len(self.plan.steps)
        if key is None:
            return [None] * count, [Reason.MISSING] * count
        try:
            moment = at if isinstance(at, int) else self._reader.asked_time(at)
            values, reasons = read_state(self.plan, self._states.get(key), moment)
        except ValueError as error:
            raise ValueError(f"view {self.name!r}, entity {key!r}: {error}") from error
        for i, column in self._times:
            if values[i] is not None:
                values[i] = moment_of(values[i], zoned=self._reader.zones.get(column, False))
        return values, reasons

    def entities(self) -> list[Key]:
        """Keys of the entities that have a state here."""
        return list(self._states)

    def dump(self, key: Key) -> bytes:
        """State of an entity as bytes.

        Args:
            key: Values of the entity's keys.
        """
        return encode_state(self.plan, self._states[key], zones=self._reader.zones)

    def load(self, key: Key, content: bytes) -> None:
        """Restores the state of an entity.

        Args:
            key: Values of the entity's keys.
            content: Output of `dump`.

        Raises:
            ValueError: The bytes are of another layout or of other features, or zones are mixed.
        """
        state, zones = decode_state(self.plan, content, name=self.name)
        self._reader.take_zones(zones)
        self._states[key] = state
        self._owners.update((event_id, key) for event_id in state.ids if event_id is not None)

    def forget(self, key: Key) -> None:
        """Drops the state of an entity from memory, for instance once it is stored.

        Args:
            key: Values of the entity's keys.
        """
        state = self._states.pop(key, None)
        for event_id in state.ids if state is not None else ():
            if event_id is not None:
                self._owners.pop(event_id, None)

    def read_event(self, row: Mapping[str, Any]) -> Event | None:
        """Reads a row as an event, without taking it; None, and counted, if it has no key or no time.

        Args:
            row: Cells by column of the source.

        Raises:
            ValueError: A column is missing, a cell is of another type, or zones are mixed.
        """
        event = self._reader.read(row)
        self.skipped += event is None
        return event

    def read_table(self, table: pl.DataFrame, *, notes: Notes) -> list[Event]:
        """Reads the rows of a table as events, without taking them.

        Args:
            table: Columns of the source.
            notes: Takes counts of what is left out.

        Raises:
            ValueError: A column is missing or of another type, or zones are mixed.
        """
        events = list(self._reader.read_table(table, notes=notes))
        self.skipped += table.height - len(events)
        return events

    def add(self, event: Event) -> None:
        """Takes an event that `read_event` or `read_table` gave.

        Args:
            event: The event.
        """
        if event.event_id is not None and not self._moves_here(event):
            return
        state = self._states.get(event.key)
        if state is None:
            state = self._states[event.key] = EntityState(self.plan)
        state.insert(
            self.plan,
            time=event.time,
            available=event.available,
            values=event.values,
            masks=event.masks,
            event_id=event.event_id,
        )
        for event_id in state.dropped_ids:
            self._owners.pop(event_id, None)
        state.dropped_ids.clear()

    def _moves_here(self, event: Event) -> bool:
        """Takes an event from the entity that it belonged to before; False if it has moved on since."""
        assert event.event_id is not None
        owner = self._owners.get(event.event_id, event.key)
        if owner != event.key and not self._states[owner].supersede(event.event_id, event.available):
            return False
        self._owners[event.event_id] = event.key
        return True
