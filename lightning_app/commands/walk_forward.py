"""`lightning-app walk-forward`: forecasts from origins that roll on, refitting on the way, beside the classics."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from lightning_app.atomic_write import write_whole
from lightning_app.commands.trained_forecaster import TrainedForecaster, read_series
from lightning_app.config.shipped_configs import find_config
from lightning_app.errors import UsageError
from lightning_app.evaluation.trajectories.classical import (
    EmpiricalQuantiles,
    RandomWalk,
    SeasonalNaive,
    VolatilityScaledQuantiles,
)
from lightning_app.evaluation.trajectories.fan_chart import draw_fan_chart
from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts
from lightning_app.evaluation.trajectories.rolling_origin import walk_forward
from lightning_app.evaluation.trajectories.rolling_paths import energy_ratio, rolling_paths
from lightning_app.runs.run_folder import create_run_folder
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first. Words after `--` go to each fit.
    """
    parser = VerbParser("walk-forward", description=__doc__, trusts=True)
    parser.add_argument("config", help="config file of a trajectory forecaster, or of a forecaster with quantiles")
    parser.add_argument("--start", type=float, default=0.8, help="share of the rows before the first origin")
    parser.add_argument("--stride", type=int, default=21, help="rows between origins")
    parser.add_argument("--refit_every", type=int, default=252, help="rows between fits; 0 fits once")
    parser.add_argument("--period", type=int, default=1, help="rows of a season: the unit of MASE, and one more row")
    parser.add_argument("--gamma", type=float, default=0.02, help="step of adaptive conformal calibration; 0 is none")
    parser.add_argument("--root", default="runs", help="folder of all runs")
    given, options = parser.split(args)
    given.config = find_config(given.config)
    if not 0 <= given.gamma < 1:
        raise UsageError(f"gamma: {given.gamma} given, 0 up to below 1 is allowed")
    name = Path(given.config).stem
    data = read_series(given.config, options)
    folder = create_run_folder(given.root, f"walk_{name}").path
    try:
        _walk(given, TrainedForecaster(given.config, data, options=options, root=given.root, folder=folder))
    except BaseException:
        if not (folder / "fold_0.parquet").exists():
            shutil.rmtree(folder, ignore_errors=True)  # nothing was fitted: leave nothing behind
        raise


def _walk(given: argparse.Namespace, forecaster: TrainedForecaster) -> None:
    name, folder, units = Path(given.config).stem, forecaster.folder, forecaster.units
    values = forecaster.values
    if not len(values):
        raise UsageError(f"data: {', '.join(forecaster.names)} share no day; walk them one by one")
    how = {
        "start": given.start,
        "stride": given.stride,
        "refit_every": given.refit_every or None,
        "period": given.period,
    }
    # The classics first: they take no time, and find what is wrong with the table or the options.
    classics = [
        walk_forward(values, kind(horizon=forecaster.horizon, units=units), name=label, **how)
        for label, kind in (
            ("random walk", RandomWalk),
            ("usual quantiles", EmpiricalQuantiles),
            ("usual quantiles by volatility", VolatilityScaledQuantiles),
        )
    ]
    if given.period > 1:
        seasonal = SeasonalNaive(period=given.period, horizon=forecaster.horizon, units=units)
        classics.append(walk_forward(values, seasonal, name="season before", **how))
    model = walk_forward(values, forecaster, name=name, **how)
    calibrated = model.calibrated(units=units, gamma=given.gamma)
    naive = classics[0]
    summaries = [other.summary(naive) for other in (model, calibrated, *classics[1:])]
    energies = [(other.name, *energy_ratio(other, naive, units=units)) for other in (model, calibrated, *classics[1:])]
    paths = [f"| {label} | {score:.5g} | {baseline:.5g} | {ratio} |" for label, score, baseline, ratio in energies]
    sections = [
        *(summary.to_markdown() for summary in summaries),
        "# Sampled paths\n",
        "Energy score of 100 paths per origin, joined by a Gaussian copula of the windows observed by then.\n",
        f"| forecast | score | {naive.name} | ratio (95% interval) |\n|---|---:|---:|---:|",
        "\n".join(paths),
        "\n# Runs\n",
        "\n".join(f"- fit: {path}" for path in forecaster.folders) + "\n",
    ]
    write_whole(folder / "report.md", "\n".join(sections))
    as_table(model, forecaster.names).write_parquet(folder / "forecasts.parquet")
    newest = rolling_paths(model, units=units)[-1]  # (C, S, H)
    paths_as_table(newest, forecaster.names).write_parquet(folder / "paths.parquet")
    draw_fan_chart(model, classics[2], names=forecaster.names, path=folder / "forecast.png")
    for summary in summaries:
        verdict = "skill" if summary.claims_skill else "no skill claimed"
        print(  # noqa: T201
            f"{summary.model.name}: WQL {summary.model.wql:.5f}, ratio to {naive.name} {summary.wql_ratio}, {verdict}"
        )
    print(f"report: {folder / 'report.md'}\npicture: {folder / 'forecast.png'}")  # noqa: T201


def as_table(walk: RollingForecasts, names: list[str]) -> pl.DataFrame:
    """A row per origin, series and step: `origin` (row number), `series`, `step`, `actual`, a column per quantile.

    Args:
        walk: The forecasts.
        names: Of the series.
    """
    num_origins, num_series, horizon, _ = walk.forecasts.shape
    frame = pl.DataFrame(
        {
            "origin": walk.origins.repeat(num_series * horizon),
            "series": [name for name in names for _ in range(horizon)] * num_origins,
            "step": [*range(1, horizon + 1)] * (num_origins * num_series),
            "actual": walk.actuals.ravel(),
        }
    )
    flat = walk.forecasts.reshape(-1, len(walk.levels))
    return frame.with_columns(pl.Series(f"q{level:g}", flat[:, index]) for index, level in enumerate(walk.levels))


def paths_as_table(paths: np.ndarray, names: list[str]) -> pl.DataFrame:
    """A row per series, path and step: `series`, `path`, `step`, `value`.

    Args:
        paths: (C, S, H).
        names: Of the series.
    """
    num_series, num_paths, horizon = paths.shape
    return pl.DataFrame(
        {
            "series": [name for name in names for _ in range(num_paths * horizon)],
            "path": [path for path in range(num_paths) for _ in range(horizon)] * num_series,
            "step": [*range(1, horizon + 1)] * (num_series * num_paths),
            "value": paths.ravel(),
        }
    )
