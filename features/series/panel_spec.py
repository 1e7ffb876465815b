"""PanelSpec: everything that turns a raw panel of series into values to stream, and forecasts back into rows; JSON."""

import msgspec

from features.series.regularize import check_frequency
from features.spec_json import decode_spec, encode_spec

VERSION = 1
WEEKDAYS = "weekdays"
"""Calendar of Monday to Friday, without holidays."""


class PanelColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Columns of a panel.

    A long panel (`id_column`) has a row per series and time, and one column of values. A wide panel has a column of
    values per series, which names it.

    Attributes:
        time_column: Dates or timestamps.
        value_columns: Values to forecast; one for a long panel.
        id_column: Name of the series of each row; None for a wide panel.
        time_format: Format of a text time column; None parses ISO 8601.
    """

    time_column: str
    value_columns: tuple[str, ...]
    id_column: str | None = None
    time_format: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (self.time_column, *([] if self.id_column is None else [self.id_column]), *self.value_columns)

    def check(self) -> None:
        """Raises `ValueError` unless the columns are consistent with each other."""
        if not self.value_columns:
            raise ValueError("value_columns: none given, at least one is needed")
        if self.id_column is not None and len(self.value_columns) > 1:
            raise ValueError(f"value_columns: {list(self.value_columns)} given, a panel with a column of names has one")
        if twins := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise ValueError(f"columns: {twins[0]!r} has two roles; give it one")


class PanelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a panel is prepared for a model that streams its series.

    Attributes:
        columns: Columns of the panel.
        horizon: Steps to forecast.
        context: Values before an origin that are streamed, at most.
        warm_up: Values before an origin that are needed, at least.
        chunk_size: Steps of a chunk; the first one starts `context` values before the origin.
        positive: Whether values at or below zero are refused.
        max_missing: Largest fraction of a series' rows that may lack a number.
        time_zone: Zone of the training times, converted to UTC; None for naive times.
        frequency: Time between rows as a polars duration, or `weekdays`; None where it is not known.
        version: Version of the format.
    """

    columns: PanelColumns
    horizon: int
    context: int
    warm_up: int
    chunk_size: int
    positive: bool
    max_missing: float
    time_zone: str | None = None
    frequency: str | None = None
    version: int = VERSION

    def to_json(self) -> bytes:
        """Serializes to UTF-8 JSON; equal specs give equal bytes."""
        return encode_spec(self)

    @classmethod
    def from_json(cls, content: bytes) -> "PanelSpec":
        """Parses and checks a spec.

        Args:
            content: UTF-8 JSON.

        Raises:
            ValueError: The content is no spec, or of a newer version.
        """
        spec = decode_spec(content, cls, newest=VERSION)
        spec.check()
        return spec

    def check(self) -> None:
        """Raises `ValueError` unless the fields are consistent with each other."""
        self.columns.check()
        check_panel_frequency(self.frequency, key="frequency")
        for name, count in (("horizon", self.horizon), ("warm_up", self.warm_up), ("chunk_size", self.chunk_size)):
            if count < 1:
                raise ValueError(f"{name}: {count} given, at least 1 is needed")
        if self.context < self.warm_up:
            raise ValueError(f"context: {self.context} given, at least warm_up {self.warm_up} is needed")
        if not 0 <= self.max_missing <= 1:
            raise ValueError(f"max_missing: {self.max_missing} given, a share from 0 to 1 is needed")


def check_panel_frequency(frequency: str | None, *, key: str) -> None:
    """Raises unless a text is a duration in polars' notation, or `weekdays`.

    Raises:
        ValueError: Names the config `key` and what is allowed.
    """
    if frequency == WEEKDAYS:
        return
    try:
        check_frequency(frequency, key=key)
    except ValueError as error:
        raise ValueError(f"{error}; or {WEEKDAYS} for Monday to Friday without holidays") from error
