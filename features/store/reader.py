"""Reader of stored features: at any time from the last event on, what the batch form would answer, in microseconds."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from features.batch import Reason
from features.definitions import Aggregate, Decayed, Definitions, Lag, TimeSince
from features.definitions.duration import microseconds
from features.definitions.value_type import value_type
from features.store.clock import as_datetime, as_microseconds
from features.store.protocol import OnlineStore
from features.store.stored_row import CHANGES, ROWS, StoredRow, key_text
from features.store.view_mark import ViewMark, read_mark, view_digest


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredValues:
    """Features of history of some entities.

    Attributes:
        features: Names of the features.
        values: One list per entity, in the order of `features`; None where a value is missing.
        reasons: Reason codes of the values, see `features.batch.Reason`.
        until: Time up to which the store knows events.
        at: Time of the answer, or of each one.
        unknown: Number of entities that were never seen.
    """

    features: tuple[str, ...]
    values: list[list[Any]]
    reasons: list[Sequence[int]]
    until: datetime
    at: datetime | Sequence[datetime | None]
    unknown: int


class ViewReader:
    """Reads one view of a store.

    Args:
        definitions: The definitions that the view was materialized from.
        store: The store.
        view: Name of the view.
        namespace: Project in the store.

    Raises:
        ValueError: The view has no features of history.
    """

    def __init__(self, definitions: Definitions, store: OnlineStore, view: str, *, namespace: str = "default") -> None:
        content = definitions.views[view]
        if not content.history:
            raise ValueError(f"view {view!r} has no features of history: nothing of it is stored")
        self.view = view
        self.features = tuple(content.history)
        self._store, self._namespace = store, namespace
        self._place = f"view {view!r} in {store.url}, namespace {namespace!r},"
        self._digest = view_digest(definitions, view)
        self._ttl = None if content.ttl is None else microseconds(content.ttl)
        self._present = bytes(len(self.features))
        self._expired = bytes([Reason.EXPIRED] * len(self.features))
        self._missing = bytes([Reason.MISSING] * len(self.features))
        history = list(enumerate(content.history.values()))
        self._elapsed = [(i, microseconds(feature.per)) for i, feature in history if isinstance(feature, TimeSince)]
        self._decayed = [
            (i, microseconds(feature.half_life))
            for i, feature in history
            if isinstance(feature, Decayed) and feature.function != "mean"
        ]
        self._datetimes = [
            i
            for i, (name, feature) in enumerate(content.history.items())
            if isinstance(feature, Aggregate | Lag) and value_type(definitions, f"{view}.{name}") == "datetime"
        ]
        self._changing = bool(self._elapsed or self._decayed or self._datetimes)
        self._mark_text: str | None = None
        self._mark: ViewMark | None = None

    def read(
        self, keys: Sequence[Sequence[Any]], *, at: datetime | Sequence[datetime | None] | None = None
    ) -> StoredValues:
        """Reads features of entities.

        Args:
            keys: Values of the key columns of each entity, of their declared types. With a null among them all features
                are missing, as they are where the time is null.
            at: Time of the answer, or one for each entity, with a zone if the times of the source have one; None for
                now.

        Raises:
            ValueError: The view was not materialized, or from other definitions, or `at` is before the last event of
                an entity.
            StoreError: The store cannot be reached.
        """
        texts = [key_text(key) for key in keys]
        text, payloads = self._store.read(self._namespace, self.view, texts)
        mark = self._known(text)
        if at is None:
            at = datetime.now(UTC) if mark.zoned else datetime.now(UTC).replace(tzinfo=None)
        moments = self._moments(at, len(keys), mark)
        values: list[list[Any]] = []
        reasons: list[Sequence[int]] = []
        unknown = 0
        decode, present, is_plain = ROWS.decode, self._present, self._ttl is None and not self._changing
        for key, moment, payload in zip(keys, moments, payloads, strict=True):
            if moment is None or None in key:
                values.append([None] * len(self.features))
                reasons.append(self._missing)
                continue
            if payload is None:
                unknown += 1
                values.append(list(mark.unknown_values))
                reasons.append(mark.unknown_reasons)
                continue
            row = decode(payload)
            if moment < row.since:
                raise self._too_early(moment, row, key, zoned=mark.zoned)
            if is_plain and (row.next_change is None or moment < row.next_change):
                row.values.pop()
                values.append(row.values)
                reasons.append(row.reasons or present)
                continue
            own, why = self._row(row, moment, zoned=mark.zoned)
            values.append(own)
            reasons.append(why)
        until = as_datetime(mark.until, zoned=mark.zoned)
        return StoredValues(features=self.features, values=values, reasons=reasons, until=until, at=at, unknown=unknown)

    def _too_early(self, moment: int, row: StoredRow, key: Sequence[Any], *, zoned: bool) -> ValueError:
        asked, since = (as_datetime(time, zoned=zoned) for time in (moment, row.since))
        return ValueError(
            f"at: {asked} is before {since}, when the last event of {key_text(key)} became visible; "
            f"{self._place} answers from then on, `features build` for any time"
        )

    def _moments(self, at: datetime | Sequence[datetime | None], count: int, mark: ViewMark) -> Sequence[int | None]:
        times = [at] if isinstance(at, datetime) else at
        for time in times:
            if time is not None and mark.zoned != (time.tzinfo is not None):
                raise ValueError(
                    f"at: {time} is given {'without' if mark.zoned else 'with'} a zone, the times of {self._place} are "
                    f"{'with' if mark.zoned else 'without'} one"
                )
        moments = [None if time is None else as_microseconds(time) for time in times]
        if isinstance(at, datetime):
            return moments * count
        if len(moments) != count:
            raise ValueError(f"at: {len(moments)} times given for {count} entities")
        return moments

    def _row(self, row: StoredRow, at: int, *, zoned: bool) -> tuple[list[Any], Sequence[int]]:
        values = row.values
        reasons: Sequence[int] = row.reasons or self._present
        times: dict[int, int] = {}
        if row.next_change is not None and at >= row.next_change:
            reasons, times = _changed(row, bytearray(reasons), at)
        newest = values.pop()
        if self._ttl is not None and newest is not None and at - newest > self._ttl:
            return [None] * len(values), self._expired
        if self._changing:
            for index, per in self._elapsed:
                if values[index] is not None:
                    values[index] = (at - values[index]) / per
            for index, half_life in self._decayed:
                if values[index] is not None:
                    values[index] *= 0.5 ** ((at - times.get(index, row.since)) / half_life)
            for index in self._datetimes:
                if values[index] is not None:
                    values[index] = as_datetime(values[index], zoned=zoned)
        return values, reasons

    def _known(self, text: str | None) -> ViewMark:
        if text is not None and text == self._mark_text:
            assert self._mark is not None
            return self._mark
        if text is None:
            raise ValueError(f"{self._place} was never written: `lightning-app features materialize` does that")
        mark = read_mark(text, place=self._place)
        if mark.digest != self._digest:
            raise ValueError(
                f"{self._place} is of other definitions ({mark.digest[:12]}, these are {self._digest[:12]}): "
                "`features materialize --replace` writes it anew"
            )
        self._mark_text, self._mark = text, mark
        return mark


def _changed(row: StoredRow, reasons: bytearray, at: int) -> tuple[bytearray, dict[int, int]]:
    """Takes over the changes up to a time; reasons and the times since which values hold."""
    assert row.changes is not None
    times: dict[int, int] = {}
    for change in CHANGES.decode(row.changes):
        place = bisect_right(change.times, at) - 1
        if place < 0:
            continue
        row.values[change.index] = change.values[place]
        times[change.index] = change.times[place]
        if change.index < len(reasons):
            reasons[change.index] = change.reasons[place]
    return reasons, times
