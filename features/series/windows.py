"""Windows of a series at forecast origins, as the inputs of a model."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

import numpy as np
import polars as pl

from features.series.calendar import extend
from features.series.series import Series
from features.series.spec import Scale, SeriesSpec

At = Literal["last", "all"] | Sequence[datetime | date | str]
"""Rows to forecast after: the last one of each series, every one with enough history, or those of some times."""


def times_of(at: At, time_zone: str | None) -> np.ndarray | None:
    """Times that are asked for, `datetime64[us]`, in UTC where there is a time zone; None for `last` and `all`.

    Args:
        at: Origins to forecast from.
        time_zone: Time zone of the table.

    Raises:
        ValueError: It is neither `last`, `all` nor times, or has a time zone where the table has none, or none.
    """
    if isinstance(at, str):
        if at not in ("last", "all"):
            raise ValueError(f"at: {at!r} given, allowed are 'last', 'all', and a list of times")
        return None
    try:
        times = at if isinstance(at, pl.Series) else pl.Series(list(at))
        if times.dtype == pl.String:
            times = times.str.to_datetime(time_unit="us")
        if times.dtype == pl.Date:
            times = times.cast(pl.Datetime("us"))
        readable = isinstance(times.dtype, pl.Datetime) and not times.null_count()
        why = f"{times.dtype} given"
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        readable, why = False, str(error).splitlines()[0]
    if not readable:
        raise ValueError(f"at: 'last', 'all' or a list of times needed, as timestamps or ISO 8601: {why}")
    assert isinstance(times.dtype, pl.Datetime)
    zone = times.dtype.time_zone
    if (zone is None) != (time_zone is None):
        raise ValueError(f"at: times {'without' if time_zone is None else 'with'} a zone needed, as in the table")
    times = times.cast(pl.Datetime("us", zone))
    return np.unique(times.to_numpy() if zone is None else _utc(times))


def _utc(times: pl.Series) -> np.ndarray:
    return times.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()


def origins_of(series: Series, spec: SeriesSpec, *, at: At, times: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """Rows of the first forecast steps, and why others cannot be answered.

    Args:
        series: The series.
        spec: The preparation.
        at: Origins to forecast from.
        times: As of `times_of`.

    Returns:
        origins: int64 (N,), ascending.
        reasons: A line per origin that was asked for and cannot be answered.
    """
    covered = len(series.times) if not spec.future_covariates else len(series.future_covariates)
    last = min(len(series), covered - spec.horizon) if spec.future_covariates else len(series)
    if times is None and at == "all":
        return np.arange(spec.look_back, last + 1), []
    if times is None:
        wanted = np.array([len(series)])
        absent: list[str] = []
    else:
        rows = np.searchsorted(series.times[: len(series)], times)
        exists = (rows < len(series)) & (series.times[np.minimum(rows, len(series) - 1)] == times)
        wanted = rows[exists] + 1
        absent = [f"there is no row at {time.item()}" for time in times[~exists]]
    reasons = [*absent, *(_short(series, spec, int(origin), covered) for origin in wanted)]
    good = (wanted >= spec.look_back) & (wanted <= last)
    return wanted[good], [reason for reason in reasons if reason]


def _short(series: Series, spec: SeriesSpec, origin: int, covered: int) -> str:
    if origin < spec.look_back:
        return f"{origin:,} rows up to {series.times[origin - 1].item()}, {spec.look_back:,} are needed (look_back)"
    if spec.future_covariates and origin + spec.horizon > covered:
        return (
            f"known-future covariates ({', '.join(spec.future_covariates)}) for {max(0, covered - origin):,} rows "
            f"after {series.times[origin - 1].item()}, {spec.horizon:,} are needed: add rows with an empty target"
        )
    return ""


def windows_at(series: Series, spec: SeriesSpec, origins: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of a model, raw units, float32.

    Args:
        series: The series.
        spec: The preparation.
        origins: Rows of the first forecast steps, int64 (N,).

    Returns:
        `past` (N, L, C), and as far as the series has them `past_covariates` (N, L, P), `future_covariates`
        (N, L + H, K) and `static_covariates` (N, C, S).
    """
    back = origins[:, None] + np.arange(-spec.look_back, 0)
    windows = {"past": series.values.astype(np.float32)[back]}
    if series.past_covariates.shape[1]:
        windows["past_covariates"] = series.past_covariates.astype(np.float32)[back]
    if series.future_covariates.shape[1]:
        both = origins[:, None] + np.arange(-spec.look_back, spec.horizon)
        windows["future_covariates"] = series.future_covariates.astype(np.float32)[both]
    if series.static_covariates.shape[1]:
        static = series.static_covariates.astype(np.float32)
        windows["static_covariates"] = np.broadcast_to(static, (len(origins), *static.shape))
    return windows


def standardized(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Values in units of a scale, float64."""
    return (values - scale.mean) / scale.std


def horizon_times(series: Series, spec: SeriesSpec, origins: np.ndarray) -> np.ndarray:
    """Timestamps of the forecast steps, `datetime64[us]` (N, H).

    Args:
        series: The series.
        spec: The preparation.
        origins: Rows of the first forecast steps, int64 (N,).
    """
    if not len(origins):
        return np.zeros((0, spec.horizon), dtype="datetime64[us]")
    times = extend(series.times, spec.frequency, int(origins.max()) + spec.horizon)
    return times[origins[:, None] + np.arange(spec.horizon)]
