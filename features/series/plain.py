"""The last window of a plain table, without the general regularisation: sorted, evenly spaced rows.

Values may be missing where the preparation fills them.
"""

import re

import numpy as np
import polars as pl

from features.series.calendar import calendar_features, fixed_step
from features.series.regularize import carried_forward, observed_length
from features.series.repairs import Repairs
from features.series.spec import SeriesSpec


class PlainWindow:
    """The last window of evenly spaced tables; equal to the general path, and an order of magnitude faster.

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

    def read(self, table: pl.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray, Repairs] | None:
        """Inputs of a model for the last row, and the times of its forecast.

        Args:
            table: The rows, with all columns of the spec.

        Returns:
            inputs: As of `windows_at`, of one window.
            times: `datetime64[us]` (1, H).
            repairs: Counts of the values that were filled.
            None if the table needs the general path: for other repairs, or for a message.
        """
        spec = self._spec
        times = self._times(table) if len(table) >= spec.look_back else None
        read = None if times is None else self._numbers(table)
        if times is None or read is None:
            return None
        numbers, repairs = read
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
        return inputs, ahead[None], repairs

    def _times(self, table: pl.DataFrame) -> np.ndarray | None:
        """All times, `datetime64[us]`, if they are one step apart."""
        column = table[self._spec.time_column]
        if column.dtype.is_integer() and self._spec.time_format is not None:
            column = column.cast(pl.String)
        if column.dtype == pl.String:
            try:
                column = column.str.to_datetime(self._spec.time_format or _usual_format(column), time_unit="us")
            except pl.exceptions.PolarsError:
                return None
        if column.null_count() or not (column.dtype == pl.Date or column.dtype == pl.Datetime):
            return None
        if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
            return None
        times = column.to_numpy().astype("datetime64[us]", copy=False)
        return times if bool((np.diff(times) == self._step).all()) else None

    def _numbers(self, table: pl.DataFrame) -> tuple[np.ndarray, Repairs] | None:
        """The last rows (L, targets and past covariates), float32, with missing values filled if they may be."""
        spec = self._spec
        whole = np.empty((len(table), len(spec.numbers)))
        for index, name in enumerate(spec.numbers):
            column = table[name]
            if not column.dtype.is_numeric() or column.dtype.is_decimal():
                return None
            whole[:, index] = column.to_numpy()
        known = np.isfinite(whole)
        filled: dict[str, int] = {}
        if not known.all():
            if spec.missing in ("error", "rows") or observed_length(known[:, : self._targets]) < len(table):
                return None
            counts = (~known).sum(axis=0).tolist()
            if max(counts) == len(table):
                return None
            filled = {name: count for name, count in zip(spec.numbers, counts, strict=True) if count}
            whole = carried_forward(whole, known)
        if np.abs(whole).max() > _LARGEST:
            return None
        repairs = Repairs(rows_read=len(table), rows=len(table), unsorted=0, repeated=0, inserted=0, filled=filled)
        if repairs.fraction > spec.max_missing:
            return None
        return whole[-spec.look_back :].astype(np.float32), repairs


_LARGEST = float(np.finfo(np.float32).max)
_USUAL = re.compile(r"\d{4}-\d{2}-\d{2}([T ])\d{2}:\d{2}:\d{2}", re.ASCII)


def _usual_format(texts: pl.Series) -> str | None:
    """Format of the first text, which need not be guessed then; None for one that is not usual."""
    usual = _USUAL.fullmatch(texts[0] or "")
    return None if usual is None else f"%Y-%m-%d{usual[1]}%H:%M:%S"
