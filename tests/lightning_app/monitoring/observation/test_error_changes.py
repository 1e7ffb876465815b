"""Rises of the error of a served version, row by row."""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from lightning_app.drift.result import DriftSettings
from lightning_app.monitoring.config.monitor_config import (
    ChangeSettings,
    MonitorConfig,
    MonitoredModel,
    QualitySettings,
)
from lightning_app.monitoring.observation.sources import opened_sources
from lightning_app.monitoring.page.verdict import verdict
from lightning_app.monitoring.quality.error_stream import ErrorStream
from lightning_app.monitoring.report.samples import metric_samples
from lightning_app.monitoring.report.structs import MonitorReport
from tests.lightning_app.monitoring.served import DAY, START, features, write_answers, write_package_with_reference

JOURNAL = "sqlite:///journal.db"
NOW = START + 20 * DAY
ROWS, CHANGE = 1600, 1000
TIMES = START + np.linspace(0, 20, ROWS, endpoint=False) * DAY


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    return write_package_with_reference(tmp_path)[0]


def write(package: Path, *, error: float, seed: int = 3) -> None:
    """Answers whose error is 0.1, and another one from row `CHANGE` on; outcomes come after an hour."""
    write_answers(JOURNAL, package, features(CHANGE, seed=seed), list(TIMES[:CHANGE]), seed=seed)
    rest = ROWS - CHANGE
    write_answers(JOURNAL, package, features(rest, seed=seed + 50), list(TIMES[CHANGE:]), seed=seed + 50, error=error,
                  known_until=NOW)  # fmt: skip


def observed(*untils: float, change: ChangeSettings | None = ChangeSettings()) -> MonitorReport:  # noqa: B008
    """The last of some reports, made one after the other by one observer."""
    quality = QualitySettings(change=change, outcome_within="3d")
    monitored = MonitoredModel(
        model="price", window="7d", every="7d", history="20d", reference="reference", quality=quality,
        drift=DriftSettings(multivariate=False),
    )  # fmt: skip
    with opened_sources(MonitorConfig(models=(monitored,), packages=("price",))) as sources:
        return [sources.observer.observe(monitored, until) for until in untils][-1]


def test_an_error_that_doubles_is_one_event_near_its_row_however_often_reports_are_made(package: Path) -> None:
    write(package, error=0.2)
    report = observed(NOW)
    (event,) = [event for event in report.events if event.kind == "error changed"]
    (change,) = report.versions[0].error_changes
    assert abs(change.row - CHANGE) < 100
    assert event.time == change.time == pytest.approx(TIMES[change.row - 1], abs=1e-3)
    assert change.before == pytest.approx(0.08, rel=0.1)
    assert change.after == pytest.approx(0.16, rel=0.25)
    assert "rose from 0.0" in event.text
    assert change.detected < change.known < NOW
    often = observed(*np.arange(START + 6 * DAY, NOW, 3.7 * DAY).tolist(), NOW)
    assert [one.row for one in often.versions[0].error_changes] == [change.row]
    assert [one.time for one in often.events] == [one.time for one in report.events]

    samples = {one.name: one.value for one in metric_samples(report)}
    assert samples["monitor_error_change_seconds"] == pytest.approx(NOW - change.known)
    assert samples["monitor_error_change_ratio"] == pytest.approx(2, rel=0.25)
    assert "row by row, its error rose from 0.0" in verdict(report).text
    before = observed(change.known - 0.1 * DAY)
    assert not before.versions[0].error_changes
    switched_off = observed(NOW, change=None)
    assert not switched_off.versions[0].error_changes
    assert "monitor_error_change_seconds" not in {one.name for one in metric_samples(switched_off)}


@pytest.mark.parametrize("seed", [4, 5])
def test_an_error_that_stays_gives_no_event(package: Path, seed: int) -> None:
    write(package, error=0.1, seed=seed)
    report = observed(NOW)
    assert not report.versions[0].error_changes
    assert "error changed" not in {event.kind for event in report.events}


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_stream_survives_a_restart_and_finds_what_it_finds_in_one_go(kind: Literal["classes", "numbers"]) -> None:
    generator = np.random.default_rng(0)
    errors = np.concatenate([generator.random(3000) < 0.1, generator.random(1000) < 0.3]).astype(float)
    if kind == "numbers":
        errors = np.abs(generator.standard_normal(4000)) * np.where(np.arange(4000) < 3000, 10.0, 30.0)
    times = np.arange(4000.0)
    whole = ErrorStream(run_length=100_000, kind=kind)
    whole.feed(times, errors, age=5.0)
    parts = ErrorStream(run_length=100_000, kind=kind)
    for begin in range(0, 4000, 77):
        parts.feed(times[begin : begin + 77], errors[begin : begin + 77], age=5.0)
        parts = msgspec.json.decode(msgspec.json.encode(parts), type=ErrorStream)
    (change,) = whole.changes
    assert parts.changes == whole.changes
    assert abs(change.row - 3001) < 100
    assert change.before == pytest.approx(errors[: change.row - 1].mean())
    assert change.after == pytest.approx(errors[change.row - 1 : change.row - 1 + change.rows].mean())
    assert (change.time, change.known) == (change.row - 1, change.detected + 5)
    assert len(parts.places) < 100


def test_many_streams_without_a_change_stay_silent() -> None:
    generator = np.random.default_rng(1)
    alarms = 0
    for _ in range(10):
        stream = ErrorStream(run_length=100_000, kind="numbers")
        stream.feed(np.arange(3000.0), np.abs(generator.standard_t(3, 3000)), age=0.0)
        alarms += len(stream.changes)
    assert alarms <= 2
