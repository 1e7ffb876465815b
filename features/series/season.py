"""Season: the period that values repeat with, found by autocorrelation."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from features.series.calendar import fixed_step

_MOST_ROWS, _MOST_COLUMNS = 2**16, 64  # the last rows, and columns at even distances
_CYCLES = 3  # seasons back that a season is judged by; a series of fewer than one more tells nothing
_MOST_LINES, _LEAST_LINE = 8, 8.0  # of the periodogram, and their height above its surroundings
_LEAST_STRENGTH, _LEAST_SPREADS = 0.1, 3.5  # the latter in standard errors
_LEAST_KEPT = 0.5  # of the highest of the correlations over 1, 2 and 3 seasons
_MOST_BETWEEN = 0.5  # of the strength, for the mean correlation half a season off
_AS_STRONG = 0.8  # of the surest season: the shortest that is so sure is taken
_SPIKE, _MOST_SPIKES = 10.0, 0.003  # robust deviations from the neighbours; a larger share of rows is no accident
_TOLERANCE = 0.03  # within which a period of the calendar is meant


@dataclass(frozen=True)
class Season:
    """A period that values repeat with.

    Attributes:
        rows: Length of the period.
        strength: Mean correlation of the values, less their level over a period, with those 1, 2 and 3 periods before.
        error: Standard error of the strength.
    """

    rows: int
    strength: float
    error: float

    @property
    def sure(self) -> float:
        """Strength less two standard errors, which are large where few periods were seen."""
        return self.strength - 2 * self.error


def calendar_periods(frequency: str | None, times: np.ndarray) -> tuple[int, ...]:
    """Rows of an hour, a day, a week and a year, as far as a step divides them.

    Args:
        frequency: Step as a polars duration; None for uneven steps, of which the median counts.
        times: `datetime64[us]` (T,), ascending.
    """
    steps = np.diff(times).astype("timedelta64[us]").astype(np.float64) / 1e6
    if not len(steps):
        return ()
    fixed = fixed_step(frequency)
    step = float(np.median(steps)) if fixed is None else fixed.astype(np.int64) / 1e6
    day, year = 86400.0, 365.2425 * 86400
    if step >= 6 * day:
        periods = [year / step]
    elif frequency is None and step == day and steps.mean() > 1.2 * day:
        periods = [5.0, 21.0, 252.0]  # trading days of a week, a month and a year
    else:
        periods = [length / step for length in (3600.0, day, 7 * day) if length % step == 0]
        periods += [year / step] if step >= day else []
    return tuple(rows for rows in map(round, periods) if rows >= 2)


def find_seasons(tables: Sequence[np.ndarray], *, calendar: Iterable[int] = ()) -> tuple[Season, ...]:
    """Seasons of series, the one to take first.

    Candidates are the periods of the calendar, the lines of the periodogram and their multiples. From each, a moving
    average over one period is taken off, which leaves nothing of random walks and trends. The correlation with the
    values one, two and three periods before has to stand out of its standard error (Bartlett), to last over the
    periods, and to drop between them. Of seasons that are about as sure, the shortest is first.

    Args:
        tables: Series, float64 (T, C) each, NaN where nothing was observed; judged by their mean.
        calendar: Periods of the calendar in rows; a candidate within 3 % of one is taken for it.
    """
    columns, calendar = _columns(tables), tuple(calendar)
    longest = max(map(len, columns), default=0) // (_CYCLES + 1)
    candidates = {period for period in calendar if period <= longest}
    longest = longest * (_CYCLES + 1) // (_CYCLES + 2)  # what no calendar speaks for has to be seen once more
    for line in _lines(columns, longest=longest):
        for multiple in range(1, 5):
            period = _refined(columns, round(line * multiple), longest=longest)
            near = any(abs(known - period) <= max(1.0, _TOLERANCE * known) for known in calendar)
            if not near and 2 <= period <= longest:
                candidates.add(period)
    judged = (_season(columns, period) for period in sorted(candidates))
    found = [season for season in judged if season is not None]
    best = max((season.sure for season in found), default=0.0)
    return tuple(sorted(found, key=lambda season: (season.sure < _AS_STRONG * best, season.rows)))


def season_strength(tables: Sequence[np.ndarray], period: int) -> float:
    """Mean correlation of series with themselves 1, 2 and 3 periods before; 0 where they are too short to tell.

    Args:
        tables: See `find_seasons`.
        period: Rows.
    """
    correlation = _autocorrelation(_columns(tables), period, cycles=_CYCLES)
    return float(correlation[period::period][:_CYCLES].mean()) if len(correlation) else 0.0


def _season(columns: list[np.ndarray], period: int) -> Season | None:
    correlation = _autocorrelation(columns, period, cycles=_CYCLES)
    if not len(correlation):
        return None
    back = correlation[period::period][:_CYCLES]
    strength = float(back.mean())
    rows = max(map(len, columns))
    half = period // 2 + 1
    memory = correlation[1:half] - correlation[period + 1 : period + half] / 2  # less what comes from a season
    error = float(np.sqrt((1 + 2 * np.square(memory).sum()) / rows))
    middle = slice(max(1, -(-period // 4)), max(1, 3 * period // 4) + 1)
    between = np.concatenate([correlation[middle], correlation[period:][middle]]).mean()
    stands_out = strength >= max(_LEAST_STRENGTH, _LEAST_SPREADS * error)
    lasts = back.min() >= _LEAST_KEPT * back.max()
    return Season(period, strength, error) if stands_out and lasts and between <= _MOST_BETWEEN * strength else None


def _columns(tables: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Columns in standard units, without those that are constant or nearly empty."""
    columns = []
    for table in tables:
        for given in table[-_MOST_ROWS:].T:
            column = _without_spikes(given)
            values = column[~np.isnan(column)]
            if len(values) > 2 * _CYCLES and values.std() > 1e-9 * np.abs(values).max():
                columns.append((column - values.mean()) / values.std())
    chosen = np.linspace(0, len(columns) - 1, min(_MOST_COLUMNS, len(columns))).round().astype(int)
    return [columns[index] for index in chosen]


def _without_spikes(column: np.ndarray) -> np.ndarray:
    """A column with NaN for the few values that are far from the median of the five around them."""
    observed = np.flatnonzero(~np.isnan(column))
    if len(observed) < 5:
        return column
    values = column[observed]
    apart = np.abs(values - np.median(sliding_window_view(np.pad(values, 2, mode="edge"), 5), axis=1))
    spikes = observed[apart > _SPIKE * 1.4826 * np.median(apart)]
    if len(spikes) > max(1.0, _MOST_SPIKES * len(observed)):
        return column
    without = column.copy()
    without[spikes] = np.nan
    return without


def _autocorrelation(columns: list[np.ndarray], period: int, *, cycles: int) -> np.ndarray:
    """Mean correlation at the lags from 0 to half a period after the last of the cycles, as far as columns reach."""
    most = max((min(cycles, len(column) // period - 2) for column in columns), default=0)
    if most < 2:
        return np.zeros(0)
    rows = [
        correlation
        for column in columns
        if len(column) // period - 2 >= most and (correlation := _of_column(column, period, cycles=most)) is not None
    ]
    return np.mean(rows, axis=0) if rows else np.zeros(0)


def _of_column(column: np.ndarray, period: int, *, cycles: int) -> np.ndarray | None:
    observed = ~np.isnan(column)
    sums = np.concatenate([[0.0], _filled(column).cumsum()])
    level = (sums[period:] - sums[:-period]) / period
    if period % 2 == 0:
        level = (level[1:] + level[:-1]) / 2  # centred: half a weight for the first and the last
    first = (len(column) - len(level)) // 2
    rest, observed = _filled(column)[first : first + len(level)] - level, observed[first : first + len(level)]
    rest = np.where(observed, _clipped(rest, rest[observed], spreads=4), 0.0)
    rest[observed] -= rest[observed].mean()
    lags = cycles * period + period // 2 + 1
    pairs = np.maximum(_products(observed.astype(np.float64), lags).round(), 1)
    covariance = _products(rest, lags) / pairs
    return covariance / covariance[0] if covariance[0] > 1e-18 else None


def _lines(columns: list[np.ndarray], *, longest: int) -> Iterator[float]:
    """Periods whose power stands out of that of their neighbours, in the differences of the columns."""
    if longest < 2:
        return
    rows = max(map(len, columns))
    size = 1 << (2 * rows - 1).bit_length()
    power = np.zeros(size // 2)
    for column in columns:
        change = np.diff(_filled(column))
        change = _clipped(change - change.mean(), change, spreads=5)
        spread = change.std() or 1.0
        power += np.square(np.abs(np.fft.rfft(change / spread * np.hanning(len(change)), size)))[1:] / len(change)
    width = -(-size // rows)  # of a line, in frequencies
    padded = np.pad(power, 16 * width, mode="reflect")
    around = np.median(sliding_window_view(padded, 32 * width + 1)[:, ::width], axis=1)
    periods = size / np.arange(1, len(power) + 1)
    height = np.where((periods >= 2) & (periods <= longest), power / np.maximum(around, 1e-12), 0.0)
    for _ in range(_MOST_LINES):
        top = int(height.argmax())
        if height[top] < _LEAST_LINE:
            return
        yield float(periods[top])
        height[max(0, top - 3 * width) : top + 3 * width + 1] = 0.0


def _refined(columns: list[np.ndarray], period: int, *, longest: int) -> int:
    """The period near one with the highest correlation over many of them, where a row too many would add up."""
    if not 2 <= period <= longest:
        return period
    rows = max(map(len, columns))
    reach = period * period // rows + 1
    correlation = _autocorrelation(columns, period, cycles=40)
    near = range(max(2, period - reach), min(longest, period + reach) + 1)
    scores = {rows: correlation[rows::rows].mean() for rows in near if len(correlation) > 2 * rows}
    return max(scores, key=lambda rows: scores[rows], default=period)


def _filled(column: np.ndarray) -> np.ndarray:
    missing = np.isnan(column)
    if not missing.any():
        return column
    rows = np.arange(len(column))
    return np.interp(rows, rows[~missing], column[~missing])


def _clipped(values: np.ndarray, judged: np.ndarray, *, spreads: float) -> np.ndarray:
    """Values within so many robust deviations of the median; as they are where most are equal."""
    middle = np.median(judged)
    spread = 1.4826 * np.median(np.abs(judged - middle))
    return values.clip(middle - spreads * spread, middle + spreads * spread) if spread > 0 else values


def _products(values: np.ndarray, lags: int) -> np.ndarray:
    """Sums of the products of values that are 0, 1, ... rows apart."""
    size = 1 << (2 * len(values) - 1).bit_length()
    products: np.ndarray = np.fft.irfft(np.square(np.abs(np.fft.rfft(values, size))), size)[:lags]
    return products
