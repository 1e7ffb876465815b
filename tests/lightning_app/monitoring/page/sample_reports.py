"""Sample reports: three weeks of a bike-sharing model, two versions, drift from the second week on, late outcomes."""

import math
from itertools import pairwise

import numpy as np

from lightning_app.drift.result import ColumnDrift, DriftResult, MultivariateDrift
from lightning_app.monitoring.report.structs import (
    AlertState,
    Cause,
    ContractFinding,
    MetricEstimate,
    MonitorReport,
    QualityResult,
    TimelineEvent,
    VersionReport,
    Window,
    WindowPoint,
)

DAY = 86_400.0
START = 1_793_577_600.0
"""2 November 2026, 00:00 UTC."""
DAYS = 21
OLD, NEW = "bikes@3", "bikes@4"
SWITCH = 11
"""Day on which the second version became champion."""
DRIFT = 7
"""Day on which drift begins."""
_INPUTS = ("temp", "humidity", "windspeed", "hour", "season", "weather", "workingday", "station_capacity")
_CATEGORIES = {
    "season": ("winter", "spring", "summer", "autumn"),
    "weather": ("clear", "mist", "light rain", "heavy rain", "snow", "fog", "hail"),
    "workingday": ("yes", "no"),
}
_MOVED = {"temp": 0.44, "season": 0.61, "prediction.cnt": 0.19}


def sample_report(*, model: str = "bikes") -> MonitorReport:
    """Drift and worse quality: everything that a page can show."""
    draw = np.random.default_rng(0)
    end = START + DAYS * DAY
    history = [point for day in range(DAYS) for point in _points(day, draw)]
    events = (
        TimelineEvent(time=START + 0.31 * DAY, kind="first answer", text=f"{OLD} answered first", version=3),
        TimelineEvent(time=START + 9.4 * DAY, kind="retraining", text="cycle 5f1c09: drift in 3 windows"),
        TimelineEvent(time=START + 10.2 * DAY, kind="experiment", text="canary of bikes@4 began", version=4),
        TimelineEvent(time=START + SWITCH * DAY, kind="promoted", text=f"{NEW} became champion", version=4),
    )
    alerts = (
        AlertState(rule="mae-too-high", severity="page", status="firing", labels={"model": model, "version": NEW},
            value=52.31, since=START + 18.2 * DAY, text="mae is 52.3, above 45 for 2 days"),
        AlertState(rule="drift", severity="ticket", status="firing", labels={"model": model, "version": NEW},
            value=3, since=START + 9 * DAY, text="3 columns drifted in 5 windows", silenced="known: cold snap"),
        AlertState(rule="latency", severity="ticket", status="resolved", labels={"model": model},
            value=11.0, since=START + 15 * DAY, text="p99 is back below 50 ms"),
    )  # fmt: skip
    contract = tuple(
        ContractFinding(
            window=_window(day), rule="humidity between 0 and 1", column="humidity", rows=2400, violations=n
        )
        for day, n in enumerate([0] * 13 + [4, 19, 31, 60, 44, 71, 80, 77])
    )
    versions = (
        VersionReport(
            label=NEW, version=4, digest="9f2b7c4411aa00ff" * 4, requests=16_210, rows=16_210, degraded=48,
            latency_ms_p50=1.83, latency_ms_p99=9.4, drift=_drift(draw, 16_210), slices=_slices(draw),
            quality=_qualities(), causes=_causes(),
            notes=("14 rows came without the column station_capacity: they count as missing",),
        ),
        VersionReport(
            label=OLD, version=3, digest="11d0c3aa907eefaa" * 4, requests=640, rows=640,
            latency_ms_p50=1.9, latency_ms_p99=10.2, drift=_too_few(),
            notes=("640 answers of a client that names the version",),
        ),
    )  # fmt: skip
    return MonitorReport(
        model=model, journal="sqlite:///journal.db", made=end + 95, window=Window(since=end - 7 * DAY, until=end),
        every_seconds=DAY, versions=versions, history=tuple(history), contract=contract, events=events, alerts=alerts,
        notes=("2 outcomes are of requests that the journal does not have: left out",),
    )  # fmt: skip


def quiet_report(*, model: str = "prices") -> MonitorReport:
    """Nothing is wrong, and outcomes are not known yet."""
    end = START + DAYS * DAY
    column = ColumnDrift(column="area", role="input", kind="number", rows=900, psi=0.01, psi_expected=0.03, p_value=0.4,
                         adjusted_p=0.8)  # fmt: skip
    drift = DriftResult(rows=900, rows_reference=2000, columns=(column,), alpha=0.05, drifted=False)
    version = VersionReport(label=f"{model}@1", version=1, digest="ab" * 32, requests=900, rows=900, drift=drift)
    return MonitorReport(
        model=model, journal="sqlite:///journal.db", made=end, window=Window(since=end - 7 * DAY, until=end),
        every_seconds=DAY, versions=(version,),
    )  # fmt: skip


def silent_report(*, model: str = "idle") -> MonitorReport:
    """Nothing was answered."""
    end = START + DAYS * DAY
    window = Window(since=end - DAY, until=end)
    return MonitorReport(model=model, journal="sqlite:///journal.db", made=end, window=window, every_seconds=DAY / 24)


def _window(day: int) -> Window:
    return Window(since=START + day * DAY, until=START + (day + 1) * DAY)


def _points(day: int, draw: np.random.Generator) -> list[WindowPoint]:
    total = int(2300 + 420 * math.sin(day * 2 * math.pi / 7) + draw.integers(-80, 80))
    if day < SWITCH - 1:
        shares = {OLD: 1.0}
    elif day == SWITCH - 1:
        shares = {OLD: 0.9, NEW: 0.1}
    else:
        shares = {OLD: 0.04, NEW: 0.96}
    return [_point(day, label, int(total * share), draw) for label, share in shares.items()]


def _point(day: int, label: str, rows: int, draw: np.random.Generator) -> WindowPoint:
    progress = min(1.0, max(0.0, (day - DRIFT + 1) / 6))
    psi = {name: float(draw.gamma(2, 0.008)) for name in (*_INPUTS, "prediction.cnt")}
    for name, size in _MOVED.items():
        psi[name] += size * progress
    drifted = tuple(name for name in _MOVED if psi[name] > 0.1) if rows > 200 else None
    missing = {"humidity": 0.012 + 0.01 * progress}
    return WindowPoint(
        window=_window(day), label=label, requests=rows, rows=rows, drifted=drifted, psi=psi if rows > 200 else {},
        psi_expected=dict.fromkeys(psi, 0.03) if rows > 200 else {},
        missing=missing, quality=_quality(day, label, rows, draw),
    )  # fmt: skip


def _quality(day: int, label: str, rows: int, draw: np.random.Generator) -> QualityResult:
    age = DAYS - day
    known = rows if age > 5 else int(rows * (0.96, 0.87, 0.7, 0.42, 0.12)[5 - age])
    base = 38.0 if label == OLD else 41.5
    worse = max(0.0, day - DRIFT) * 0.95 if label == OLD else max(0.0, day - SWITCH - 1) * 1.5
    value = base + worse + float(draw.normal(0, 0.9)) * (1 if rows > 300 else 3)
    half = 110 / math.sqrt(max(known, 4))
    estimated = MetricEstimate(metric="mae", better="lower", value=base + 0.8 * worse, rows=rows)
    measured = MetricEstimate(
        metric="mae", better="lower", value=value, low=value - half, high=value + half, rows=known
    )
    bias = MetricEstimate(metric="bias", better=None, value=-worse / 2, low=-worse / 2 - half, high=-worse / 2 + half,
                          rows=known)  # fmt: skip
    enough = known > 300 and rows > 300
    return QualityResult(
        version=label, window=_window(day), rows=rows, labelled=known, waiting=rows - known, overdue=0,
        is_mature=age > 3 and enough, metrics=(measured, bias) if known > 20 else (), estimated=(estimated,),
        estimate_error=estimated.value - value if enough else None, reference=_reference(label),
    )  # fmt: skip


def _reference(label: str) -> tuple[MetricEstimate, ...]:
    value = 38.1 if label == OLD else 40.2
    return (MetricEstimate(metric="mae", better="lower", value=value, low=value - 1, high=value + 1, rows=4000),)


def _qualities() -> tuple[QualityResult, ...]:
    window = Window(since=START + 14 * DAY, until=START + 21 * DAY)

    def one(value: float, rows: int, labelled: int, *, half: float, of: str | None = None) -> QualityResult:
        return QualityResult(
            version=NEW, window=window, rows=rows, labelled=labelled, waiting=rows - labelled - 20, overdue=20,
            is_mature=labelled > 300, slice=of,
            metrics=(
                MetricEstimate(metric="mae", better="lower", value=value, low=value - half, high=value + half,
                               rows=rows),
                MetricEstimate(metric="bias", better=None, value=-11.2, low=-13.0, high=-9.1, rows=rows),
            ),
            estimated=(MetricEstimate(metric="mae", better="lower", value=value - 2.2, rows=rows),),
            estimate_error=-2.2, reference=_reference(NEW),
            notes=("outcomes take 2.1 days at the median; weighted for those that have not come yet",),
        )  # fmt: skip

    return (
        one(52.3, 16_210, 11_630, half=2.4),
        one(66.0, 3_900, 2_800, half=5.2, of="season=winter"),
        one(47.1, 12_310, 8_830, half=2.6, of="season=autumn"),
    )


def _causes() -> tuple[Cause, ...]:
    return (
        Cause(name="temp", kind="column", drift=0.44, importance=0.31, score=0.136,
            text="moved down by 0.9 sd; PSI 0.440; 31 % of the model's skill"),
        Cause(name="season=winter", kind="slice", drift=0.22, importance=None, score=0.09,
            text="22 % of all rows more than in the reference"),
        Cause(name="season", kind="column", drift=0.61, importance=0.08, score=0.05,
            text="PSI 0.610; 8 % of the model's skill"),
    )  # fmt: skip


def number_column(name: str, then: np.ndarray, now: np.ndarray, *, bins: int = 32, **values: object) -> ColumnDrift:
    edges = np.quantile(then, np.linspace(0, 1, bins + 1))
    edges = np.unique(edges)
    clipped = np.clip(now, edges[0], edges[-1])
    return ColumnDrift(
        column=name, rows=len(now), edges=tuple(edges.tolist()),
        labels=tuple(f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)),
        reference_counts=tuple(np.histogram(then, edges)[0].astype(float).tolist()),
        current_counts=tuple(np.histogram(clipped, edges)[0].astype(float).tolist()),
        mean=float(now.mean()), mean_reference=float(then.mean()),
        **({"role": "input", "kind": "number"} | values),
    )  # fmt: skip


def _category(name: str, then: list[float], now: list[float], **values: object) -> ColumnDrift:
    return ColumnDrift(column=name, role="input", kind="category", rows=16_210, labels=_CATEGORIES[name],
        reference_counts=tuple(then), current_counts=tuple(now), **values)  # fmt: skip


def _drift(draw: np.random.Generator, rows: int) -> DriftResult:
    now, then = min(rows, 4000), 4000
    chance = {"psi_expected": 0.021}
    calm = {"p_value": 0.31, "adjusted_p": 0.62, **chance}
    moved = {"p_value": 1e-9, "adjusted_p": 1e-8, "drifted": True, **chance}
    columns = (
        _category("season", [1010, 990, 1020, 980], [3900, 40, 60, 12_210], psi=0.61, js=0.4, importance=0.08, **moved),
        number_column("temp", draw.normal(0.5, 0.19, then), draw.normal(0.33, 0.16, now), psi=0.44, js=0.3, ks=0.35,
                      wasserstein=0.9, importance=0.31, **moved),
        number_column("prediction.cnt", draw.gamma(1.2, 150, then), draw.gamma(1.0, 110, now), psi=0.19, js=0.2, ks=0.2,
                      wasserstein=0.4, **{**moved, "role": "prediction"}),
        number_column("outcome", draw.gamma(1.2, 150, then), draw.gamma(1.1, 140, now), psi=0.024,
                      **{**calm, "role": "outcome"}),
        number_column("humidity", draw.beta(5, 3, then), draw.beta(5, 3, now), psi=0.012, importance=0.11,
                      missing=0.024, missing_reference=0.012, **calm),
        number_column("windspeed", np.where(draw.random(then) < 0.2, 0, draw.gamma(2, 0.09, then)),
                      np.where(draw.random(now) < 0.22, 0, draw.gamma(2, 0.09, now)), psi=0.011, importance=0.02,
                      **calm),
        number_column("hour", draw.integers(0, 24, then).astype(float), draw.integers(0, 24, now).astype(float),
                      psi=0.004, importance=0.42, **calm),
        _category("weather", [2600, 1000, 250, 12, 60, 50, 28], [10_000, 4300, 1100, 40, 300, 250, 220], psi=0.008,
                  unknown=0.0006, importance=0.05, **calm),
        _category("workingday", [2700, 1300], [11_100, 5110], psi=0.001, importance=0.01, **calm),
        ColumnDrift(column="station_capacity", role="input", kind="number", rows=rows, missing=1.0,
                    note="the column has vanished from requests", psi=None),
    )  # fmt: skip
    multivariate = (
        MultivariateDrift(name="domain_classifier", statistic=0.81, p_value=0.005, adjusted_p=0.01, drifted=True,
            rows=2000, columns=("temp", "season")),
        MultivariateDrift(name="mmd", statistic=0.0031, p_value=0.005, adjusted_p=0.01, drifted=True, rows=2000),
    )  # fmt: skip
    return DriftResult(rows=rows, rows_reference=4000, columns=columns, multivariate=multivariate, alpha=0.05,
        drifted=True, notes=("dteday is a time: not monitored",))  # fmt: skip


def _slices(draw: np.random.Generator) -> dict[str, DriftResult]:
    drifted = number_column("temp", draw.normal(0.5, 0.2, 900), draw.normal(0.3, 0.2, 900), psi=0.5, drifted=True)
    calm = number_column("temp", draw.normal(0.5, 0.2, 900), draw.normal(0.5, 0.2, 900), psi=0.01)
    return {
        "season=winter": DriftResult(rows=3900, rows_reference=980, columns=(drifted,), alpha=0.05, drifted=True),
        "season=autumn": DriftResult(rows=12_310, rows_reference=990, columns=(calm,), alpha=0.05, drifted=False),
        "season=spring": DriftResult(rows=12, rows_reference=990, columns=(), alpha=0.05, drifted=False,
                                     rows_needed=180),
    }  # fmt: skip


def _too_few() -> DriftResult:
    return DriftResult(rows=90, rows_reference=4000, columns=(), alpha=0.05, drifted=False, rows_needed=180)
