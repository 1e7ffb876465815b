"""The report of a test and its pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.figure import Figure

from callbacks.forecast_picture import draw_truth
from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.conftest import only_run, waves

FitArgs = Callable[..., list[str]]

QUANTILES = "[.1,.5,.9]"


@pytest.mark.usefixtures("rendered")
def test_a_report_has_errors_in_raw_units_coverage_the_curve_and_how_to_do_it_again(
    fit_args: FitArgs, table_file: Path, tmp_path: Path
) -> None:
    waves().with_columns(pl.when(pl.int_range(400) != 390).then(pl.col("c1")).alias("c1")).write_csv(table_file)
    args = fit_args(
        "--model.network=tests.own_networks.Spread", "--model.loss=PinballLoss", f"--model.loss.quantiles={QUANTILES}",
        "--data.missing=mask", "--trainer.max_epochs=2",
    )  # fmt: skip
    finished = run(args)
    folder = only_run(tmp_path / "runs")
    last = str(folder / "checkpoints" / "last.ckpt")
    assert main(["test", "--ckpt_path", last, "--trust", "tests.own_networks"]) == 0

    windows = finished.datamodule.dataset("test").__getitems__(np.arange(69))
    with torch.no_grad():
        forecast = finished.model.eval()(windows["past"])
    error = (forecast[..., 1] - windows["future"]).masked_fill(~windows["future_mask"], 0.0)
    count = windows["future_mask"].sum(dim=(0, 1))
    table = pl.read_csv(folder / "channels.csv")
    assert table["values"].to_list() == count.tolist() == [69 * 12, 69 * 12 - 10]
    np.testing.assert_allclose(table["mae"], error.abs().sum(dim=(0, 1)) / count, rtol=1e-4)
    np.testing.assert_allclose(table["rmse"], (error.square().sum(dim=(0, 1)) / count).sqrt(), rtol=1e-4)
    naive = np.abs(np.diff(waves()["c0"].to_numpy()[:280])).mean()
    np.testing.assert_allclose(table["mase"][0], table["mae"][0] / naive, rtol=1e-4)

    report = (folder / "report.md").read_text()
    inside = (windows["future"].unsqueeze(-1) <= forecast)[windows["future_mask"]].float().mean(dim=0)
    assert f"| 0.1 to 0.9 | 80.0% | {float(inside[2] - inside[0]):.1%} |" in report
    for part in (
        "## Errors by channel, in raw units",
        "![Losses by step](training_curve.png)",
        f"- data file: `{table_file}`",
        f"    lightning-app fit -c {(folder / 'config.yaml').resolve()}\n"
        f"    lightning-app test --ckpt_path {Path(last).resolve()} --trust tests.own_networks",
    ):
        assert part in report
    assert (folder / "training_curve.png").stat().st_size > 1000
    assert (folder / "forecast.png").stat().st_size > 1000


def test_pictures_draw_filled_values_apart_from_observed_ones() -> None:
    times = np.datetime64("2024-01-01", "us") + np.arange(20) * np.timedelta64(1, "h")
    observed = np.ones(20, dtype=bool)
    observed[[4, 5, 16]] = False
    axis = Figure().subplots()
    draw_truth(axis, times, np.arange(20.0), observed, 12)
    drawn = {line.get_label(): np.asarray(line.get_ydata(), dtype=float) for line in axis.get_lines()}
    assert np.flatnonzero(np.isnan(drawn["history"])).tolist() == [4, 5]
    assert np.flatnonzero(np.isnan(drawn["actual"])).tolist() == [16 - 11]
    assert drawn["actual"][0] == drawn["history"][-1]  # no gap between them
    assert np.flatnonzero(np.isfinite(drawn["missing, filled"])).tolist() == [3, 4, 5, 6, 15, 16, 17]
