"""The last window of a plain table, without the general regularisation: complete, sorted, evenly spaced rows."""

import numpy as np
import polars as pl

from features.series.calendar import calendar_features, fixed_step
from features.series.spec import SeriesSpec


class PlainWindow:
    """The last window of tables that need no repair; equal to the general path, and an order of magnitude faster.

    Args:
        spec: The preparation.
    """

    def __init__(self, spec: SeriesSpec) -> None:
        self._spec = spec
        self._step = fixed_step(spec.frequency)
        even = self._step is not None and not spec.future_covariates
        self.is_possible = even and not (spec.id_column or spec.time_zone or spec.time_parts)
        """Whether any table can be plain: wide, with steps of one length, without a zone, and no covariates ahead."""
        self._targets = len(spec.targets)
        self._attributes = np.array(spec.channel_attributes, dtype=np.float32)[None]

    def read(self, table: pl.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
        """Inputs of a model for the last row, and the times of its forecast.

        Args:
            table: The rows, with all columns of the spec.

        Returns:
            inputs: As of `windows_at`, of one window.
            times: `datetime64[us]` (1, H).
            None if the table needs the general path: to be repaired, or for a message.
        """
        spec = self._spec
        times = self._times(table) if len(table) >= spec.look_back else None
        numbers = None if times is None else self._numbers(table)
        if times is None or numbers is None:
            return None
        assert self._step is not None
        ahead = times[-1] + self._step * np.arange(1, spec.horizon + 1)
        inputs = {"past": numbers[None, :, : self._targets]}
        if spec.past_covariates:
            inputs["past_covariates"] = numbers[None, :, self._targets :]
        if spec.calendar:
            whole = np.concatenate([times[-spec.look_back :], ahead])
            inputs["future_covariates"] = calendar_features(whole, spec.calendar).astype(np.float32)[None]
        if spec.channel_attributes:
            inputs["static_covariates"] = self._attributes
        return inputs, ahead[None]

    def _times(self, table: pl.DataFrame) -> np.ndarray | None:
        """All times, `datetime64[us]`, if they are one step apart."""
        column = table[self._spec.time_column]
        if column.dtype.is_integer() and self._spec.time_format is not None:
            column = column.cast(pl.String)
        if column.dtype == pl.String:
            try:
                column = column.str.to_datetime(self._spec.time_format, time_unit="us")
            except pl.exceptions.PolarsError:
                return None
        if column.null_count() or not (column.dtype == pl.Date or column.dtype == pl.Datetime):
            return None
        if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
            return None
        times = column.to_numpy().astype("datetime64[us]", copy=False)
        return times if bool((np.diff(times) == self._step).all()) else None

    def _numbers(self, table: pl.DataFrame) -> np.ndarray | None:
        """The last rows (L, targets and past covariates), float32, if every number of the table is finite."""
        spec = self._spec
        last = np.empty((spec.look_back, len(spec.numbers)), dtype=np.float32)
        for index, name in enumerate(spec.numbers):
            column = table[name]
            if not column.dtype.is_numeric() or column.dtype.is_decimal() or column.null_count():
                return None
            values = column.to_numpy()
            if not np.isfinite(values).all() or np.abs(values).max() > _LARGEST:
                return None
            last[:, index] = values[-spec.look_back :]
        return last


_LARGEST = float(np.finfo(np.float32).max)
