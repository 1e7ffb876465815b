"""The period of a network: given, left to the data, doubted, or refused."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from datamodules import LongForecastingDataModule, LongTableFile
from lightning_app.__main__ import main
from tests.conftest import only_run, waves

FitArgs = Callable[..., list[str]]
NAIVE = ("--model.network", "SeasonalNaive", "--model.optimizer", "null", "--model.scheduler", "null")


def walk(path: Path) -> None:
    """Replaces a table of waves by one of random walks."""
    table = pl.read_csv(path)
    values = np.random.default_rng(0).standard_normal((len(table), 2)).cumsum(axis=0)
    table.with_columns(c0=pl.Series(values[:, 0]), c1=pl.Series(values[:, 1])).write_csv(path)


@pytest.mark.parametrize("words", [("--model.network.period", "null"), NAIVE], ids=["null", "left out"])
def test_a_period_that_a_config_leaves_out_is_found_said_and_kept(
    words: tuple[str, ...], fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args(*words)) == 0
    assert "Transformer.period: 24, found" in (out := capsys.readouterr().out) or "Naive.period: 24, found" in out
    run = only_run(table_file.parent / "runs")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["network"]["init_args"]["period"] == 24
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    said = capsys.readouterr()
    assert "found in the training rows" not in said.out
    assert "warning" not in said.err


def test_the_period_of_the_run_stays_when_the_table_has_another(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--model.network.period", "null")) == 0
    run = only_run(table_file.parent / "runs")
    waves(period=16).write_csv(table_file)
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt"), "--allow_changed_data"]) == 0
    assert "given, but" not in capsys.readouterr().err


def test_a_period_that_the_table_speaks_against_is_taken_with_a_warning(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waves(period=16).write_csv(table_file)
    assert main(fit_args()) == 0
    said = capsys.readouterr().err
    assert "PhaseTransformer.period: 24 given, but the training rows repeat every 16 rows (strength 0.9" in said
    assert "leave it out to take 16" in said
    config = yaml.safe_load((only_run(table_file.parent / "runs") / "config.yaml").read_text())
    assert config["model"]["init_args"]["network"]["init_args"]["period"] == 24


@pytest.mark.parametrize("period", [24, 48])
def test_a_period_that_is_as_good_as_the_one_found_is_taken_in_silence(
    period: int, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--model.network.period", str(period))) == 0
    assert "warning" not in capsys.readouterr().err


def test_without_a_season_networks_that_need_one_are_refused_by_name(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk(table_file)
    assert main(fit_args(*NAIVE)) == 2
    said = capsys.readouterr().err
    assert "SeasonalNaive.period: none given, and no season was found in the training rows" in said
    assert "RepeatLast" in said
    assert main(fit_args()) == 0
    assert "24 given, but no season was found in the training rows (strength" in capsys.readouterr().err


def test_a_season_beyond_the_look_back_is_named(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waves(period=40).write_csv(table_file)
    options = ("--data.look_back", "36", "--data.split", "[0.8, 0.9, 1.0]")
    assert main(fit_args("--model.network.period", "null", *options)) == 2
    assert "of 40 rows (strength 0.9" in (said := capsys.readouterr().err)
    assert "is longer than data.look_back 36: raise data.look_back" in said


def test_the_series_of_a_long_table_are_judged_together() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"unique_id": str(name), "ds": datetime(2024, 1, 1) + timedelta(days=day + 3 * name),
         "y": 10.0**name * (np.sin(2 * np.pi * day / 7) + 0.3 * rng.standard_normal())}
        for name in range(4) for day in range(80 + name)
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv("long.csv")
    data = LongForecastingDataModule(series=LongTableFile(path="long.csv", frequency="1d"), look_back=14, horizon=7)
    assert data.period == 7


def test_a_network_in_python_needs_a_period() -> None:
    from models import SeasonalNaive

    with pytest.raises(ValueError, match="period: none given"):
        SeasonalNaive(look_back=12, horizon=3)
