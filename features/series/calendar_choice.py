"""Choice of calendar features: those whose effect on the training rows holds on the later part of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.series.calendar import CalendarFeature, calendar_features

_DAY = 86400.0
_CYCLES: dict[CalendarFeature, float] = {
    "hour": _DAY,
    "day_of_week": 7 * _DAY,
    "day_of_month": 30.436875 * _DAY,
    "month": 365.2425 * _DAY,
}
"""Seconds of the cycle of each feature, in the order in which they are judged."""
_FITTED = 0.6  # of the rows; the others judge
_LEAST_BLOCKS = 3  # cycles that judge
_LEAST_GAIN, _LEAST_SPREADS = 0.01, 3.0
_SHRINKAGE = 2.0  # observations of zero beside those of a group


@dataclass(frozen=True)
class CalendarEffect:
    """What a calendar feature explains.

    Attributes:
        feature: The feature.
        gain: Share of the squares of the later rows, less their level over a cycle and what the features before it
            explain, that means of the earlier rows explain; None where there are too few cycles to tell.
        taken: Whether it is above noise.
    """

    feature: CalendarFeature
    gain: float | None
    taken: bool


def calendar_effects(times: np.ndarray, table: np.ndarray) -> tuple[CalendarEffect, ...]:
    """Judges the calendar features that the steps of a series can show.

    A moving average over the feature's cycle is taken off. Means by the value of the feature (of `day_of_week`, by hour
    too where the hour was taken) are fitted to the first 60 % of the rows, and have to explain at least 1 % of the
    squares of the others, by three standard errors over cycles.

    Args:
        times: `datetime64[us]` (T,), ascending.
        table: Training rows, float64 (T, C), NaN where nothing was observed.
    """
    steps = np.diff(times).astype("timedelta64[us]").astype(np.float64) / 1e6
    if not len(steps):
        return ()
    step, shortest = float(steps.mean()), float(np.median(steps))
    effects: list[CalendarEffect] = []
    groups = np.zeros(len(times), dtype=np.int64)
    for feature, cycle in _CYCLES.items():
        if shortest > (_DAY if feature.startswith("day") else cycle / 4):
            continue
        values = np.unique(calendar_features(times, [feature])[:, 0], return_inverse=True)[1]
        joint = values if feature in ("day_of_month", "month") else groups * (values.max() + 1) + values
        effect = _effect(feature, table, rows=round(cycle / step), known=groups, groups=joint)
        effects.append(effect)
        groups = joint if effect.taken and feature in ("hour", "day_of_week") else groups
    return tuple(effects)


def _effect(
    feature: CalendarFeature, table: np.ndarray, *, rows: int, known: np.ndarray, groups: np.ndarray
) -> CalendarEffect:
    first = rows // 2
    kept = slice(first, len(table) - first)
    length = len(table[kept])
    fitted = int(_FITTED * length)
    blocks = (length - fitted) // rows
    if blocks < _LEAST_BLOCKS:
        return CalendarEffect(feature, None, taken=False)
    before, after = np.zeros(length - fitted), np.zeros(length - fitted)
    for column in table.T:
        if np.isnan(column).all():
            continue
        rest = _less_level(column, rows)[kept]
        spread = np.nanstd(rest[:fitted])
        if not spread > 0:
            continue
        rest = (rest / spread).clip(-5, 5)
        rest -= _group_means(rest[:fitted], known[kept][:fitted], known)[known[kept]]
        explained = _group_means(rest[:fitted], groups[kept][:fitted], groups)[groups[kept]]
        before += np.nan_to_num(np.square(rest[fitted:]))
        after += np.nan_to_num(np.square(rest[fitted:] - explained[fitted:]))
    saved = (before - after)[: blocks * rows].reshape(blocks, rows).sum(axis=1)
    gain = float(saved.sum() / max(before[: blocks * rows].sum(), 1e-12))
    error = float(saved.std(ddof=1) / np.sqrt(blocks))
    return CalendarEffect(feature, gain, taken=gain >= _LEAST_GAIN and saved.mean() > _LEAST_SPREADS * error)


def _less_level(column: np.ndarray, rows: int) -> np.ndarray:
    """A column less its centred moving average; only rows with a whole average around them are of use."""
    observed = ~np.isnan(column)
    filled = np.interp(np.arange(len(column)), np.flatnonzero(observed), column[observed])
    width = 2 * (rows // 2) + 1
    sums = np.concatenate([[0.0], filled.cumsum()])
    level = np.full(len(column), np.nan)
    level[rows // 2 : len(column) - rows // 2] = (sums[width:] - sums[:-width]) / width
    return column - level


def _group_means(values: np.ndarray, groups: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Means by group, drawn towards zero; zero for a group without values."""
    observed = ~np.isnan(values)
    size = int(everything.max()) + 1
    sums = np.bincount(groups[observed], weights=values[observed], minlength=size)
    means: np.ndarray = sums / (np.bincount(groups[observed], minlength=size) + _SHRINKAGE)
    return means


def describe_effects(effects: Sequence[CalendarEffect]) -> str:
    """One line: which features were taken, which not, and why."""
    words = [f"{effect.feature} ({effect.gain:.1%} explained)" for effect in effects if effect.taken]
    left = [
        f"{effect.feature} ({'too few cycles' if effect.gain is None else f'{effect.gain:.1%}'})"
        for effect in effects
        if not effect.taken
    ]
    return f"calendar: {', '.join(words) or 'no feature'} taken" + (f"; not {', '.join(left)}" if left else "")
