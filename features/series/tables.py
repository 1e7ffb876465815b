"""Tables of time series: a wide or long table becomes regularised series, in training and in packages alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import polars as pl

from features.series.calendar import fixed_step
from features.series.regularize import time_zone, timestamps
from features.series.repairs import Repairs
from features.series.series import Series, build_series, with_calendar
from features.series.spec import SeriesSpec
from features.series.static_attributes import static_columns
from features.table_reader import as_numbers, row_name

_ID, _TIME, _ROW = "\0id", "\0time", "\0row"
"""Columns of a parsed table; no column of a user has such a name."""


@dataclass(frozen=True)
class NamedSeries:
    """A series of a table.

    Attributes:
        name: Its id; the empty string for a wide table.
        series: The series; None if it cannot be used.
        reason: Why it cannot be used; None otherwise.
        last_row: Last row of the table, from 0, that belongs to it.
    """

    name: str
    series: Series | None
    reason: str | None
    last_row: int


def read_wide(table: pl.DataFrame, spec: SeriesSpec, *, name: str) -> Series:
    """Regularises a wide table, see `build_series`.

    Args:
        table: Its rows in any order that `spec.missing` allows.
        spec: The preparation.
        name: Name for messages; the file, if there is one.

    Raises:
        ValueError: The table is irregular and may not be repaired, or more is missing than allowed.
    """
    attributes = np.array(spec.channel_attributes, dtype=np.float64).reshape(len(spec.targets), -1)
    return _regular(table, spec, name=name, attributes=attributes if spec.channel_attributes else None)


def read_long(table: pl.DataFrame, spec: SeriesSpec, *, name: str) -> Iterator[NamedSeries]:
    """Regularises each series of a long table, in the order of their first rows.

    Args:
        table: A row per series and time.
        spec: The preparation.
        name: Name for messages; the file, if there is one.

    Yields:
        Every series, those that cannot be used with their reason.

    Raises:
        ValueError: A cell is no number, no time, or no id.
    """
    assert spec.id_column is not None
    if table.is_empty():
        raise ValueError(f"{name} has no rows")
    ids = table[spec.id_column]
    if ids.dtype.is_nested() or ids.dtype.is_float():
        raise ValueError(
            f"{name}: the series column {spec.id_column!r} holds {ids.dtype}, expected texts or whole numbers"
        )
    ids = ids.cast(pl.String)
    if ids.null_count():
        first = row_name(name, ids.is_null().arg_max() or 0)
        raise ValueError(f"{name}: {ids.null_count()} rows have no series in {spec.id_column!r} (first: {first})")
    # Numbers and times are parsed once for all series, so that messages count the rows of the whole table.
    times = timestamps(table, name=name, column=spec.time_column, time_format=spec.time_format)
    zone = time_zone(table, name=name, column=spec.time_column, time_format=spec.time_format)
    numbers = [as_numbers(table[column], file=name, booleans=index > 0) for index, column in enumerate(spec.numbers)]
    # A second table brought the attributes of the series in training; it need not be given again.
    given = all(attribute.column in table.columns for attribute in spec.static_attributes)
    attributes = static_columns(table, spec.static_attributes, name=name) if given else []
    plain, step = _spec_of_parsed(spec), fixed_step(spec.frequency)
    parsed = pl.DataFrame([ids.alias(_ID), times.alias(_TIME), pl.Series(_ROW, np.arange(len(table))), *numbers])
    for part in parsed.partition_by(_ID, maintain_order=True):
        label, rows = part[_ID][0], part[_ROW].to_numpy()
        try:
            static = (
                _constant_attributes(spec, [values[rows] for values in attributes])
                if given
                else _known_attributes(spec, label)
            )
            series = _complete(part, plain, step, attributes=static)
            if series is None:
                series = _regular(part, plain, name=f"series {label!r}", attributes=static)
        except ValueError as error:
            text = str(error).removeprefix(f"series {label!r}").lstrip(": ")
            yield NamedSeries(label, None, f"series {label!r}: {text}", int(rows.max()))
            continue
        yield NamedSeries(label, replace(series, channels=(label,), time_zone=zone), None, int(rows.max()))


def _constant_attributes(spec: SeriesSpec, values: Sequence[np.ndarray]) -> np.ndarray | None:
    """Attributes (1, S) of the rows of one series.

    Raises:
        ValueError: An attribute changes.
    """
    for attribute, rows in zip(spec.static_attributes, values, strict=True):
        if (rows != rows[0]).any():
            raise ValueError(f"the static attribute {attribute.column!r} changes within it")
    return np.concatenate([rows[:1] for rows in values], axis=1) if values else None


def _known_attributes(spec: SeriesSpec, name: str) -> np.ndarray:
    """Attributes (1, S) of a series of the training table.

    Raises:
        ValueError: It was none.
    """
    if name not in spec.known_attributes:
        columns = ", ".join(attribute.column for attribute in spec.static_attributes)
        raise ValueError(f"it was not in training; give its static attributes as columns: {columns}")
    return np.array([spec.known_attributes[name]])


def _spec_of_parsed(spec: SeriesSpec) -> SeriesSpec:
    """The spec of one series of a long table whose columns were parsed."""
    return msgspec.structs.replace(
        spec,
        time_column=_TIME,
        time_parts=(),
        time_format=None,
        id_column=None,
        static_attributes=(),
        scales={},
        known_attributes={},
    )


def _complete(
    part: pl.DataFrame, spec: SeriesSpec, step: np.timedelta64 | None, *, attributes: np.ndarray | None
) -> Series | None:
    """A parsed series that needs no repair, as `_regular` gives it but several times faster; None for any other."""
    times = part[_TIME].to_numpy()
    if step is None or not bool((np.diff(times) == step).all()):
        return None
    table = part.select(spec.numbers).to_numpy()
    if not np.isfinite(table).all():
        return None
    rows, width, first_future = len(table), len(spec.targets), len(spec.targets) + len(spec.past_covariates)
    series = Series(
        times=times,
        values=table[:, :width],
        observed=np.ones((rows, width), dtype=bool),
        past_covariates=table[:, width:first_future],
        future_covariates=table[:, first_future:],
        static_covariates=np.zeros((width, 0)) if attributes is None else attributes,
        channels=spec.targets,
        repairs=Repairs(rows_read=rows, rows=rows, unsorted=0, repeated=0, inserted=0, filled={}),
    )
    return with_calendar(series, spec.calendar, frequency=spec.frequency, horizon=spec.horizon)


def _regular(table: pl.DataFrame, spec: SeriesSpec, *, name: str, attributes: np.ndarray | None) -> Series:
    series = build_series(
        table,
        name=name,
        time_column=spec.time_column,
        time_format=spec.time_format,
        frequency=spec.frequency,
        missing=spec.missing,
        columns=spec.numbers,
        num_channels=len(spec.targets),
        num_past_covariates=len(spec.past_covariates),
        static_covariates=attributes,
    )
    if series.repairs is not None and series.repairs.fraction > spec.max_missing:
        raise ValueError(
            f"{name}: {series.repairs.fraction:.1%} of the data would be dropped or made up, more than "
            f"{spec.max_missing:.1%} ({series.repairs.describe()})"
        )
    return with_calendar(series, spec.calendar, frequency=spec.frequency, horizon=spec.horizon)
