import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.retraining.simulate import Strategy, read_replay_rows, replay
from lightning_app.retraining.simulate.learner import Fitted, Learner
from tests.lightning_app.retraining.frozen.journals import DAY, policy

RIDGE = ["--learner", "sklearn.linear_model:Ridge"]
POLICY = """
model: bikes
data:
  {outcome: rentals, mature_after: 1d, train_window: 30d, evaluation_window: 4d,
   minimum_rows: {train: 50, evaluation: 50}}
training: {config: tabular/bike_sharing}
triggers: {age: 5d}
gate: {margin: 0.1}
limits: {cool_down: 1d, back_off: 1d, cycles_per_week: 7}
"""


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("retrain.yaml").write_text(POLICY)


def drifting(days: int = 120, *, flip: int = 60) -> pl.DataFrame:
    """Hourly rows whose label follows the column the other way round from a day on."""
    rng = np.random.default_rng(0)
    hours = np.arange(24 * days)
    temp = rng.standard_normal(len(hours))
    slope = np.where(hours < 24 * flip, 3.0, -3.0)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "time": [start + timedelta(hours=int(hour)) for hour in hours],
            "temp": temp,
            "city": np.where(hours % 2 == 0, "Bern", "Basel"),
            "rentals": slope * temp + 0.1 * rng.standard_normal(len(hours)),
        }
    )


def simulated(*options: str) -> dict[str, Any]:
    words = ["--policy", "retrain.yaml", "--history", "history.parquet", *RIDGE, *options]
    assert main(["retrain", "simulate", *words]) == 0
    report: dict[str, Any] = json.loads(Path("simulation.json").read_text())
    return report


def test_the_policy_follows_a_drift_that_no_retraining_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    drifting().write_parquet("history.parquet")
    report = simulated("--every", "30d,1d", "--picture", "simulation.svg")
    never, own, monthly, daily = report["strategies"]
    assert [one["name"] for one in report["strategies"]] == ["never", "policy", "every 30d", "every 1d"]
    assert never["fits"] == 1
    assert own["against_none"]["value"] < -1
    assert daily["error"]["value"] <= own["error"]["value"] <= never["error"]["value"]
    assert own["fits"] < daily["fits"] / 3
    assert monthly["fits"] == 4
    assert {event["reason"] for event in own["events"]} == {"first model", "age"}
    assert own["windows"][0]["error"]["low"] < own["windows"][0]["error"]["value"]
    said = capsys.readouterr().out
    assert "against never" in said
    assert ElementTree.parse("simulation.svg").getroot().tag.endswith("svg")


def test_a_detector_of_errors_begins_a_cycle_at_the_drift() -> None:
    drifting().write_parquet("history.parquet")
    Path("retrain.yaml").write_text(POLICY.replace("triggers: {age: 5d}\n", ""))
    still, watched = (simulated("--every", "", "--detector", name)["strategies"][1] for name in ("none", "adwin"))
    assert still["fits"] == 1
    drift = datetime(2026, 1, 1, tzinfo=UTC).timestamp() + 60 * DAY
    assert [event["reason"] for event in watched["events"][:2]] == ["first model", "adwin"]
    assert drift < watched["events"][1]["time"] < drift + 10 * DAY


class _Remembers(Learner):
    """Notes what it is asked for, and when rows would be known."""

    error_name = "error"

    def __init__(self) -> None:
        self.fitted: list[np.ndarray] = []

    def fit(self, rows: np.ndarray) -> Fitted:
        self.fitted.append(rows)
        return _Zero()


class _Zero(Fitted):
    def errors(self, rows: np.ndarray) -> np.ndarray:
        return np.zeros(len(rows))


def test_no_label_is_used_before_it_was_known_and_final() -> None:
    rows = drifting(20)
    late = rows["time"] + pl.Series([timedelta(hours=5 if number % 3 else 70) for number in range(len(rows))])
    rows.with_columns(outcome_time=late).write_parquet("history.parquet")
    rules = policy(train_window="6d")
    read = read_replay_rows("history.parquet", rules.data)
    learner = _Remembers()
    start = float(read.event[120])
    done = replay(read, learner, Strategy(name="d", policy=rules, period=DAY), start=start, tick=DAY)
    assert len(done.fits) == len(learner.fitted) == 15
    for fit, places in zip(done.fits, learner.fitted, strict=True):
        assert (read.available[places] <= fit.time).all()
        assert (read.event[places] + DAY <= fit.time).all()
        assert (read.event[places] >= fit.time - 6 * DAY).all()
    assert np.isfinite(done.errors).all()
    assert len(done.errors) == len(rows) - 120


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learner", "sklearn:Nothing"], "learner: 'sklearn:Nothing' given, module:Class is needed"),
        ([*RIDGE, "--arguments", '{"colour": 1}'], "colour"),
        ([*RIDGE, "--arguments", "alpha"], "arguments: 'alpha' is no JSON"),
        ([*RIDGE, "--columns", "temp,when"], "there is no column 'when'"),
        ([*RIDGE, "--start", "2"], "start: 2 given, a share"),
        ([*RIDGE, "--every", "monthly"], "every: 'monthly' is no duration"),
        (["--columns", "temp"], "columns: given without learner"),
        ([*RIDGE, "--history", "absent.parquet"], "absent.parquet cannot be read"),
    ],
)
def test_what_cannot_be_replayed_is_refused_by_name(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    drifting(20).write_parquet("history.parquet")
    words = ["--policy", "retrain.yaml", "--history", "history.parquet", *options]
    assert main(["retrain", "simulate", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_training_of_the_policy_is_replayed_itself(tmp_path: Path) -> None:
    Path("features.yaml").write_text(
        "views:\n  bikes:\n    request: {temp: {type: float}}\n"
        "    features: {temp: {kind: given, column: temp}}\nlabels:\n  rentals: {kind: column, column: rentals}\n"
    )
    Path("fit.yaml").write_text(
        "seed_everything: 0\ntrainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}\n"
        "model:\n  class_path: models.tabular.TabularModule\n  init_args:\n"
        "    network: {class_path: models.tabular.LinearNetwork}\n    task: models.tabular.Regression\n"
        "    optimizer: {class_path: AdamW, init_args: {lr: 0.1}}\n"
        "data:\n  class_path: datamodules.tabular.FeatureTableDataModule\n  init_args:\n"
        "    definitions: features.yaml\n    rows: history.parquet\n    label: rentals\n    batch_size: 64\n"
        "    split: {class_path: datamodules.tabular.RandomSplit, init_args: {train: 0.6, val: 0.2}}\n"
    )
    without = POLICY.replace("triggers: {age: 5d}\n", "")
    Path("retrain.yaml").write_text(without.replace("tabular/bike_sharing", str(tmp_path / "fit.yaml")))
    drifting(40, flip=20).write_parquet("history.parquet")
    assert main(["retrain", "simulate", "--history", "history.parquet", "--every", "20d"]) == 0
    report = json.loads(Path("simulation.json").read_text())
    never, _, monthly = report["strategies"]
    assert report["error_name"] == "absolute error"
    assert (never["fits"], monthly["fits"]) == (1, 2)
    assert monthly["error"]["rows"] == never["error"]["rows"] > 0
    assert monthly["error"]["value"] != never["error"]["value"]  # another package answers after the second fit
    assert monthly["cpu_seconds"] > 1
