"""Answers: values of features and reasons for missing ones, filled chunk by chunk and turned into columns."""

from collections.abc import Mapping

import msgspec
import numpy as np
import polars as pl

from features.batch.columns import Values
from features.batch.history_features import column_dtype, computed, taken_event, takes_event
from features.batch.reasons import Reason
from features.batch.windows import Windows
from features.definitions import Aggregate, HistoryFeature, Lag


class Answers:
    """Values and reasons of some features; features that take the same events share them.

    Args:
        features: Features by name.
        columns: Value columns by name.
        height: Number of rows.
    """

    def __init__(self, features: Mapping[str, HistoryFeature], columns: Mapping[str, Values], height: int) -> None:
        self._features, self._columns, self._height = features, columns, height
        self._shared = {name: self._key(feature) for name, feature in features.items()}
        self._values: dict[HistoryFeature, np.ndarray] = {}
        self._reasons: dict[HistoryFeature, np.ndarray] = {}

    def fill(self, windows: Windows, rows: np.ndarray, expired: np.ndarray | None) -> None:
        """Computes all features for some rows.

        Args:
            windows: The rows and their events.
            rows: Where they belong, int64 (m,).
            expired: Rows whose newest event is too old, bool (m,); None if events do not age.
        """
        for key in dict.fromkeys(self._shared.values()):
            part = taken_event(key, windows) if takes_event(key) else computed(key, windows, self._column(key))
            if key not in self._values:
                self._values[key] = np.full(self._height, -1, dtype=part.values.dtype)
                self._reasons[key] = np.full(self._height, Reason.MISSING, dtype=np.uint8)
            values, reasons = part.values, part.reasons
            if expired is not None:
                values, reasons = np.where(expired, -1, values), np.where(expired, np.uint8(Reason.EXPIRED), reasons)
            self._values[key][rows], self._reasons[key][rows] = values, reasons

    def frame(self, view: str) -> pl.DataFrame:
        """Values and reasons by full name."""
        index = {key: _or_null(values, self._reasons[key]) for key, values in self._values.items() if takes_event(key)}
        series: list[pl.Series] = []
        for name, key in self._shared.items():
            feature = self._features[name]
            column = self._column(feature)
            reasons = self._reasons.get(key, np.full(self._height, Reason.MISSING, dtype=np.uint8))
            if key not in self._values:
                values = pl.Series([None] * self._height, dtype=column_dtype(feature, column))
            elif key in index:
                assert column is not None
                values = column.column.gather(index[key])
                if not column.is_complete:
                    reasons = np.where(values.is_null().to_numpy() & (reasons == 0), np.uint8(Reason.MISSING), reasons)
            else:
                values = column_of(_or_null(self._values[key], reasons), feature, column)
            series += [values.alias(f"{view}.{name}"), pl.Series(f"{view}.{name}__reason", reasons)]
        return pl.DataFrame(series)

    def _column(self, feature: HistoryFeature) -> Values | None:
        name = getattr(feature, "column", None)
        return None if name is None else self._columns[name]

    def _key(self, feature: HistoryFeature) -> HistoryFeature:
        """A feature that takes the same events: its column does not matter unless nulls are passed over."""
        plain = msgspec.structs.replace(feature, description="", unit="")
        column = self._column(feature)
        if isinstance(plain, Lag) or (
            isinstance(plain, Aggregate) and takes_event(plain) and column and column.is_complete
        ):
            first = next(name for name, values in self._columns.items() if values.is_complete or isinstance(plain, Lag))
            return msgspec.structs.replace(plain, column=first)
        return plain


def _or_null(values: np.ndarray, reasons: np.ndarray) -> pl.Series:
    series = pl.Series(values)
    present = reasons == Reason.PRESENT
    return series if present.all() else pl.select(pl.when(pl.Series(present)).then(series)).to_series()


def column_of(values: pl.Series, feature: HistoryFeature, column: Values | None) -> pl.Series:
    """Numbers as values of the feature's type.

    Args:
        values: The numbers.
        feature: The feature.
        column: Its column.
    """
    dtype = column_dtype(feature, column)
    if dtype == pl.String:
        assert column is not None
        return column.column.drop_nulls().unique().sort().gather(values - 1)
    return values.cast(dtype)
