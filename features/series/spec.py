"""SeriesSpec: everything that turns a raw table of time series into windows, and forecasts back into rows; JSON."""

import math

import msgspec

from features.series.calendar import CalendarFeature
from features.series.regularize import MissingPolicy, check_frequency
from features.spec_json import decode_spec, encode_spec

VERSION = 1


class Scale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean and standard deviation of the observed training rows of a series.

    Attributes:
        mean: The mean.
        std: The standard deviation; 1 for a constant series.
    """

    mean: float
    std: float


class StaticAttribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attribute of a series that does not change with time.

    Attributes:
        column: Name of its column.
        vocabulary: Texts of the training series, each an input of its own (one-hot; all zero for another text); None
            for a number.
        mean: Of the training series, subtracted from a number.
        std: Of the training series, by which a number is divided.
    """

    column: str
    vocabulary: tuple[str, ...] | None = None
    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """Inputs that the attribute becomes."""
        return 1 if self.vocabulary is None else len(self.vocabulary)


class SeriesSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a table of time series is prepared for a forecaster.

    A wide table has a column per channel, all forecast together. A long table (`id_column`) has a row per series and
    time, and one target; its series are forecast one by one, in units of their own `scales`.

    Attributes:
        time_column: Name of the time column.
        targets: Columns to forecast; one for a long table.
        look_back: Rows of a window.
        horizon: Rows to forecast.
        time_format: Format of a text or integer time column; None parses ISO 8601.
        time_zone: Zone of the training times, converted to UTC; None for naive times.
        time_parts: Columns whose texts, joined by spaces, are the time; empty if the table has `time_column`.
        id_column: Name of the column with the series of each row; None for a wide table.
        past_covariates: Columns known up to the forecast origin.
        future_covariates: Columns known over the horizon as well.
        calendar: Calendar features, after `future_covariates`.
        static_attributes: Attributes of the series of a long table.
        channel_attributes: Attributes of each channel of a wide table, (C, S).
        frequency: Time between rows as a polars duration; None for uneven steps.
        missing: Policy for gaps, duplicated or unsorted timestamps, NaN and inf.
        max_missing: Largest fraction of rows dropped, or of a column's values filled.
        scales: Series of a long table to the scale of its training rows; other series take that of their look-back.
        known_attributes: Series of a long table to its static attributes as inputs of the model, for tables without
            the columns of `static_attributes`; empty if tables always have them.
        unused: Columns of the training table without a role.
        version: Version of this format.
    """

    time_column: str
    targets: tuple[str, ...]
    look_back: int
    horizon: int
    time_format: str | None = None
    time_zone: str | None = None
    time_parts: tuple[str, ...] = ()
    id_column: str | None = None
    past_covariates: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()
    calendar: tuple[CalendarFeature, ...] = ()
    static_attributes: tuple[StaticAttribute, ...] = ()
    channel_attributes: tuple[tuple[float, ...], ...] = ()
    frequency: str | None = None
    missing: MissingPolicy = "error"
    max_missing: float = 0.1
    scales: dict[str, Scale] = {}
    known_attributes: dict[str, tuple[float, ...]] = {}
    unused: tuple[str, ...] = ()
    version: int = VERSION

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers that change with time: targets, past covariates, known-future covariates."""
        return (*self.targets, *self.past_covariates, *self.future_covariates)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        ids = () if self.id_column is None else (self.id_column,)
        times = self.time_parts or (self.time_column,)
        return (*times, *ids, *self.numbers, *(attribute.column for attribute in self.static_attributes))

    def to_json(self) -> bytes:
        """Serializes to UTF-8 JSON; equal specs give equal bytes."""
        return encode_spec(self)

    @classmethod
    def from_json(cls, content: bytes) -> "SeriesSpec":
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
        check_frequency(self.frequency, key="frequency")
        for name, count in (("look_back", self.look_back), ("horizon", self.horizon), ("targets", len(self.targets))):
            if count < 1:
                raise ValueError(f"{name}: {count} given, at least 1 is needed")
        if not 0 <= self.max_missing <= 1:
            raise ValueError(f"max_missing: {self.max_missing} given, a share from 0 to 1 is needed")
        if twins := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"columns: {twins[0]!r} has two roles; give it one")
        if self.id_column is not None and len(self.targets) > 1:
            raise ValueError(f"targets: {list(self.targets)} given, a long table has one")
        if self.id_column is None and (self.scales or self.static_attributes):
            raise ValueError("scales and static_attributes: given for a wide table, which has none")
        attributes = self.channel_attributes
        if attributes and (len(attributes) != len(self.targets) or len({len(row) for row in attributes}) > 1):
            raise ValueError(
                f"channel_attributes: {len(attributes)} rows given, a row of equal length per target needed"
            )
        width = sum(attribute.width for attribute in self.static_attributes)
        if any(len(row) != width for row in self.known_attributes.values()):
            raise ValueError(f"known_attributes: {width} numbers per series needed")
        numbers = [number for scale in self.scales.values() for number in (scale.mean, scale.std)]
        numbers += [number for attribute in self.static_attributes for number in (attribute.mean, attribute.std)]
        numbers += [number for row in self.known_attributes.values() for number in row]
        if not all(map(math.isfinite, numbers)) or any(scale.std <= 0 for scale in self.scales.values()):
            raise ValueError("scales: a mean and a positive standard deviation needed, both finite")
