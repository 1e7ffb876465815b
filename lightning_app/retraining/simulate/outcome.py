"""SimulationReport: strategies side by side, over time and over all rows, with intervals; its JSON is the output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from lightning_app.retraining.gate.paired_test import correlated_rows
from lightning_app.retraining.simulate.replay import FitEvent, Replay
from lightning_app.retraining.simulate.replay_rows import ReplayRows

_QUANTILE = 1.96
SCHEMA_VERSION = 1


class Mean(Struct, frozen=True, kw_only=True):
    """A mean with its 95 % interval, which takes the correlation of neighbouring rows into account.

    Attributes:
        value: The mean; None without rows.
        low: Lower end.
        high: Upper end.
        rows: Rows.
    """

    value: float | None
    low: float | None
    high: float | None
    rows: int


class WindowMean(Struct, frozen=True, kw_only=True):
    """Mean error in one window.

    Attributes:
        since: First moment, Unix seconds.
        until: First moment after it.
        error: The mean.
    """

    since: float
    until: float
    error: Mean


class StrategyReport(Struct, frozen=True, kw_only=True):
    """What came of a strategy.

    Attributes:
        name: Its name.
        error: Mean error of all answered rows.
        against_none: Mean difference to the errors without retraining; below 0 it is better.
        fits: Number of fits, the first model included.
        promoted: Fits whose model answered.
        skipped: Cycles without a fit, by reason.
        cpu_seconds: CPU time of the fits.
        windows: Mean errors over time.
        events: The fits.
    """

    name: str
    error: Mean
    against_none: Mean
    fits: int
    promoted: int
    skipped: dict[str, int]
    cpu_seconds: float
    windows: tuple[WindowMean, ...]
    events: tuple[FitEvent, ...]


class SimulationReport(Struct, frozen=True, kw_only=True):
    """Replay of several strategies.

    Attributes:
        model: Name of the model.
        error_name: What the errors are.
        since: First answered row, Unix seconds.
        until: Last one.
        rows: Answered rows.
        strategies: The strategies; the first one never retrains.
        notes: What a reader has to know.
        schema_version: Version of this format.
    """

    model: str
    error_name: str
    since: float
    until: float
    rows: int
    strategies: tuple[StrategyReport, ...]
    notes: tuple[str, ...]
    schema_version: int = SCHEMA_VERSION


def report_of(
    rows: ReplayRows, replays: Sequence[Replay], *, model: str, error_name: str, start: float, window: float
) -> SimulationReport:
    """Puts replays of the same rows side by side.

    Args:
        rows: The rows.
        replays: The replays; the first one never retrained.
        model: Name of the model.
        error_name: What the errors are.
        start: First moment that was answered.
        window: Seconds of the windows over time.
    """
    event = rows.event[np.searchsorted(rows.event, start) :]
    edges = np.append(np.arange(event[0], event[-1], window), np.nextafter(event[-1], np.inf))
    return SimulationReport(
        model=model,
        error_name=error_name,
        since=float(event[0]),
        until=float(event[-1]),
        rows=len(event),
        strategies=tuple(_strategy(one, replays[0], event, edges) for one in replays),
        notes=rows.notes,
    )


def lines_of(report: SimulationReport) -> list[list[Any]]:
    """Rows of a table for people.

    Args:
        report: The report.
    """
    return [
        [
            one.name, _words(one.error), "" if number == 0 else _words(one.against_none, sign=True), f"{one.fits:,}",
            f"{one.promoted:,}", f"{one.cpu_seconds:.1f}",
        ]
        for number, one in enumerate(report.strategies)
    ]  # fmt: skip


def mean_of(errors: np.ndarray) -> Mean:
    """Mean of errors in the order of time.

    Args:
        errors: The errors; NaN of rows that were not answered.
    """
    known = errors[np.isfinite(errors)]
    if not len(known):
        return Mean(value=None, low=None, high=None, rows=0)
    value = float(known.mean())
    if len(known) < 2:
        return Mean(value=value, low=None, high=None, rows=len(known))
    radius = _QUANTILE * float(known.std(ddof=1)) * np.sqrt(correlated_rows(known) / len(known))
    return Mean(value=value, low=value - float(radius), high=value + float(radius), rows=len(known))


def _strategy(one: Replay, none: Replay, event: np.ndarray, edges: np.ndarray) -> StrategyReport:
    places = np.searchsorted(event, edges)
    return StrategyReport(
        name=one.strategy,
        error=mean_of(one.errors),
        against_none=mean_of(one.errors - none.errors),
        fits=len(one.fits),
        promoted=sum(fit.promoted for fit in one.fits),
        skipped=one.skipped,
        cpu_seconds=one.cpu_seconds,
        windows=tuple(
            WindowMean(since=float(since), until=float(until), error=mean_of(one.errors[begin:end]))
            for since, until, begin, end in zip(edges[:-1], edges[1:], places[:-1], places[1:], strict=True)
            if end > begin
        ),
        events=tuple(one.fits),
    )


def _words(mean: Mean, *, sign: bool = False) -> str:
    if mean.value is None:
        return "unknown"
    shape = "+.4g" if sign else ".4g"
    if mean.low is None or mean.high is None:
        return f"{mean.value:{shape}}"
    return f"{mean.value:{shape}} ({mean.low:{shape}} to {mean.high:{shape}})"
