"""LongSeries: all series of a long table one after the other, with the rows and the scale of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from datamodules.forecasting.long_table import Ends, LongTableFile
from features.series.repairs import Repairs
from features.series.scales import scale_of
from features.series.series import Series
from features.series.spec import Scale, SeriesSpec
from features.series.static_attributes import fit_static_attributes, static_columns
from features.series.tables import read_long

_SHOWN = 5


@dataclass(frozen=True)
class LongSeries:
    """Series one after the other, each followed by `horizon` rows without a target.

    Attributes:
        spec: Preparation of such tables, with the fitted scales and vocabularies.
        names: Names of the series (S,).
        starts: First row of each series, int64 (S,).
        lengths: Rows of each series, int64 (S,).
        covered: Rows of each series that have known-future covariates, int64 (S,).
        ends: Ends of train, validation and test of each series, relative to its start, int64 (S, 3).
        joined: All rows as one series: times, targets in raw units, covariates.
        static_covariates: By series, float64 (S, A).
        repairs: Repairs by series; only those with any.
    """

    spec: SeriesSpec
    names: tuple[str, ...]
    starts: np.ndarray
    lengths: np.ndarray
    covered: np.ndarray
    ends: np.ndarray
    joined: Series
    static_covariates: np.ndarray
    repairs: dict[str, Repairs]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def numbers(self) -> np.ndarray:
        """Number of the series of each row, int64 (T,)."""
        blocks = np.diff([*self.starts, len(self.joined.times)])
        return np.repeat(np.arange(len(self)), blocks)

    def origins(self, split: str) -> list[np.ndarray]:
        """Rows of the first forecast steps of the windows of a split, one array per series.

        Args:
            split: `train`, `val`, `test` or `predict`.
        """
        look_back, horizon = self.spec.look_back, self.spec.horizon
        rows = []
        for index, start in enumerate(self.starts):
            length = int(self.lengths[index])
            if split == "predict":
                fits = length >= look_back and length + horizon <= self.covered[index]
                first, last = (length, length) if fits else (0, -1)
            else:
                place = ("train", "val", "test").index(split)
                before = 0 if place == 0 else int(self.ends[index, place - 1])
                first, last = max(before, look_back), int(self.ends[index, place]) - horizon
            rows.append(start + np.arange(first, last + 1))
        return rows


def read_long_series(source: LongTableFile, spec: SeriesSpec, *, root: str | Path | None) -> LongSeries:
    """Reads and regularises a long table, and fits scales and vocabularies on its training rows.

    Args:
        source: The file.
        spec: Its preparation, as far as it is not fitted.
        root: The data root.

    Raises:
        ValueError: A series is irregular and may not be repaired, or no series is long enough.
    """
    frame, file = source.raw_table(root=root).frame, source.file(root)
    read: list[tuple[str, Series]] = []
    wrong: list[str] = []
    for named in read_long(frame, spec, name=str(file)):
        if named.series is None:
            wrong.append(named.reason or "")
        else:
            read.append((named.name, named.series))
    if wrong:
        more = f" and {len(wrong) - 1:,} more series" if len(wrong) > 1 else ""
        raise ValueError(f"{file}: {wrong[0]}{more}; mend or leave out these rows")
    ends = np.array([_ends(series, source.ends) for _, series in read])
    scales: dict[str, Scale] = {}
    for (name, series), (train, _, _) in zip(read, ends, strict=True):
        if series.observed[:train].any():
            scales[name] = scale_of(series.values[:train, 0], series.observed[:train, 0])
    names = tuple(name for name, _ in read)
    trained = [name for name, end in zip(names, ends[:, 0], strict=True) if end >= spec.look_back + spec.horizon]
    if not trained:
        raise ValueError(
            f"{file}: none of its {len(names):,} series has look_back {spec.look_back} + horizon {spec.horizon} "
            "training rows; shorten them, or move series.split"
        )
    spec = msgspec.structs.replace(spec, scales=scales, time_zone=read[0][1].time_zone)
    static = np.zeros((len(names), 0))
    if source.static_attributes:
        table = source.static_table(frame, root=root)
        fitted = table.filter(pl.col("id").is_in(trained))
        attributes = fit_static_attributes(fitted, source.static_attributes, name=str(file))
        static = np.concatenate(static_columns(table, attributes, name=str(file)), axis=1)
        spec = msgspec.structs.replace(spec, static_attributes=attributes)
        if source.static_path is not None:
            known = dict(zip(table["id"], map(tuple, static.tolist()), strict=True))
            spec = msgspec.structs.replace(spec, known_attributes=known)
    spec = msgspec.structs.replace(spec, unused=tuple(name for name in frame.columns if name not in spec.columns))
    padded = [_padded(series, spec.horizon) for _, series in read]
    blocks = [len(series.times) for series in padded]
    return LongSeries(
        spec=spec,
        names=names,
        starts=np.concatenate([[0], np.cumsum(blocks)[:-1]]).astype(np.int64),
        lengths=np.array([len(series) for _, series in read], dtype=np.int64),
        covered=np.array([_covered(series, spec) for _, series in read], dtype=np.int64),
        ends=ends.astype(np.int64),
        joined=_joined(padded),
        static_covariates=static,
        repairs={name: series.repairs for name, series in read if series.repairs},
    )


def named(names: Sequence[str]) -> str:
    """The first names of some, for messages."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")


def _ends(series: Series, ends: Ends) -> tuple[int, int, int]:
    rows = []
    for end in ends:
        if isinstance(end, str):
            time = np.datetime64(datetime.fromisoformat(end).replace(tzinfo=None), "us")
            rows.append(int(np.searchsorted(series.times[: len(series)], time)))
        else:
            rows.append(int(end * len(series)))
    train, val, test = rows
    return train, val, test


def _covered(series: Series, spec: SeriesSpec) -> int:
    return len(series.future_covariates) if spec.future_covariates else len(series) + spec.horizon


def _padded(series: Series, horizon: int) -> Series:
    """A series with `horizon` rows after its end, whose values are zero where nothing is known."""
    length = len(series) + horizon

    def pad(table: np.ndarray) -> np.ndarray:
        return np.concatenate([table[:length], np.zeros((max(0, length - len(table)), table.shape[1]), table.dtype)])

    times = series.times[:length]
    filler = np.repeat(times[-1:], length - len(times))
    return replace(
        series,
        times=np.concatenate([times, filler]),
        values=pad(series.values),
        observed=pad(series.observed),
        past_covariates=pad(series.past_covariates),
        future_covariates=pad(series.future_covariates),
    )


def _joined(series: Sequence[Series]) -> Series:
    return Series(
        times=np.concatenate([one.times for one in series]),
        values=np.concatenate([one.values for one in series]),
        observed=np.concatenate([one.observed for one in series]),
        past_covariates=np.concatenate([one.past_covariates for one in series]),
        future_covariates=np.concatenate([one.future_covariates for one in series]),
        static_covariates=np.zeros((1, 0)),
        channels=("value",),
        time_zone=series[0].time_zone,
    )
