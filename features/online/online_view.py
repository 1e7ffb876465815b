"""Online view: the states of all entities of one feature view, updated event by event, read at a time."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from features.definitions import Definitions
from features.online.entity_state import EntityState, EventId
from features.online.event import Event, EventReader, Key, microseconds_of
from features.online.plan import ViewPlan
from features.online.reading import Answer, read_state
from features.online.state_bytes import decode_state, encode_state


class OnlineView:
    """Features of history of one view, online.

    At a time t the values are those of the batch form over all events that have arrived. Events may arrive late, and
    corrections at any time. What has left all windows is dropped; a read before the time at which that happened is
    refused. A view over a source with `event_id` that has unbounded features, row counts or lags keeps all events, as
    any of them may be corrected.

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
        definitions.select([name])
        self.name = name
        self.plan = ViewPlan(name, definitions)
        self.skipped = 0
        self._reader = EventReader(self.plan, definitions.views[name].source or "")
        self._states: dict[Key, EntityState] = {}
        self._owners: dict[EventId, Key] = {}

    @property
    def features(self) -> list[str]:
        """Names of the features, in the order of their values."""
        return [step.name for step in self.plan.steps]

    def update(self, row: Mapping[str, Any]) -> Key | None:
        """Takes an event.

        Args:
            row: Cells by column of the source.

        Returns:
            Key of the entity; None if the event was left out for want of a key or a time.

        Raises:
            ValueError: A column is missing, or a cell is of another type.
        """
        event = self._reader.read(row)
        if event is None:
            self.skipped += 1
            return None
        self.add(event)
        return event.key

    def add(self, event: Event) -> None:
        """Takes an event that has been read."""
        state = self._states.get(event.key)
        if state is None:
            state = self._states[event.key] = EntityState(self.plan)
        if event.event_id is not None and not self._moves_here(event):
            return
        state.insert(
            self.plan,
            time=event.time,
            available=event.available,
            values=event.values,
            masks=event.masks,
            event_id=event.event_id,
        )

    def values(self, key: Key, at: datetime | int) -> Answer:
        """Values and reasons in the order of `features`.

        Args:
            key: Values of the entity's keys.
            at: Time t; microseconds if a number.

        Raises:
            ValueError: The state no longer knows what was visible at t.
        """
        moment = at if isinstance(at, int) else microseconds_of(at)
        try:
            return read_state(self.plan, self._states.get(key), moment)
        except ValueError as error:
            raise ValueError(f"view {self.name!r}, entity {key!r}: {error}") from error

    def keys(self) -> Iterator[Key]:
        """Keys of the entities that have a state."""
        return iter(self._states)

    def dump(self, key: Key) -> bytes:
        """State of an entity as bytes.

        Args:
            key: Values of the entity's keys.
        """
        return encode_state(self.plan, self._states[key])

    def load(self, key: Key, content: bytes) -> None:
        """Takes over the state of an entity.

        Args:
            key: Values of the entity's keys.
            content: What `dump` gave.

        Raises:
            ValueError: The bytes are of another layout or of other features.
        """
        state = decode_state(self.plan, content, name=self.name)
        self._states[key] = state
        self._owners.update((event_id, key) for event_id in state.ids if event_id is not None)

    def _moves_here(self, event: Event) -> bool:
        """Takes an event from the entity that it belonged to before; False if it has moved on since."""
        assert event.event_id is not None
        owner = self._owners.get(event.event_id, event.key)
        if owner != event.key and not self._states[owner].supersede(event.event_id, event.available):
            return False
        self._owners[event.event_id] = event.key
        return True
