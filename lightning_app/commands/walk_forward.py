"""Walk-forward evaluation: `lightning-app walk-forward` forecasts from rolling origins, with refits and baselines."""

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
from lightning_app.evaluation.trajectories.rolling_origin import rolling_origin_forecasts
from lightning_app.evaluation.trajectories.rolling_paths import energy_ratio, rolling_paths
from lightning_app.runs.run_folder import create_run_folder
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first. Words after `--` are passed to each fit.
    """
    parser = VerbParser("walk-forward", description=__doc__, trusts=True)
    parser.add_argument("config", help="config file of a trajectory forecaster, or of a forecaster with quantiles")
    parser.add_argument("--start", type=float, default=0.8, help="share of the rows before the first origin")
    parser.add_argument("--stride", type=int, default=21, help="rows between origins")
    parser.add_argument("--refit_every", type=int, default=252, help="rows between fits; 0 fits once")
    parser.add_argument("--period", type=int, default=1, help="rows of a season: for MASE and a seasonal row")
    parser.add_argument("--gamma", type=float, default=0.02, help="step of adaptive conformal calibration; 0 is none")
    parser.add_argument("--root", default="runs", help="folder of all runs")
    arguments, options = parser.split(args)
    arguments.config = find_config(arguments.config)
    if not 0 <= arguments.gamma < 1:
        raise UsageError(f"gamma: {arguments.gamma} given, 0 up to below 1 is allowed")
    name = Path(arguments.config).stem
    data = read_series(arguments.config, options)
    folder = create_run_folder(arguments.root, f"walk_{name}").path
    try:
        _walk(arguments, TrainedForecaster(arguments.config, data, options=options, root=arguments.root, folder=folder))
    except BaseException:
        if not (folder / "fold_0.parquet").exists():
            shutil.rmtree(folder, ignore_errors=True)  # nothing was fitted yet
        raise


def _walk(arguments: argparse.Namespace, forecaster: TrainedForecaster) -> None:
    name, folder, units = Path(arguments.config).stem, forecaster.folder, forecaster.units
    values = forecaster.values
    if not len(values):
        raise UsageError(f"data: {', '.join(forecaster.names)} share no day; walk them one by one")
    settings = {
        "start": arguments.start,
        "stride": arguments.stride,
        "refit_every": arguments.refit_every or None,
        "period": arguments.period,
    }
    # Baselines first: they run in no time, and fail early on an invalid table or option.
    baselines = [
        rolling_origin_forecasts(values, kind(horizon=forecaster.horizon, units=units), name=label, **settings)
        for label, kind in (
            ("random walk", RandomWalk),
            ("empirical quantiles", EmpiricalQuantiles),
            ("empirical quantiles by volatility", VolatilityScaledQuantiles),
        )
    ]
    if arguments.period > 1:
        seasonal = SeasonalNaive(period=arguments.period, horizon=forecaster.horizon, units=units)
        baselines.append(rolling_origin_forecasts(values, seasonal, name="season before", **settings))
    model = rolling_origin_forecasts(values, forecaster, name=name, **settings)
    calibrated = model.calibrated(units=units, gamma=arguments.gamma)
    naive = baselines[0]
    summaries = [other.summary(naive) for other in (model, calibrated, *baselines[1:])]
    energies = [(other.name, *energy_ratio(other, naive, units=units)) for other in (model, calibrated, *baselines[1:])]
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
    draw_fan_chart(model, baselines[2], names=forecaster.names, path=folder / "forecast.png")
    for summary in summaries:
        verdict = "skill" if summary.claims_skill else "no skill claimed"
        print(  # noqa: T201
            f"{summary.model.name}: WQL {summary.model.wql:.5f}, ratio to {naive.name} {summary.wql_ratio}, {verdict}"
        )
    print(f"report: {folder / 'report.md'}\npicture: {folder / 'forecast.png'}")  # noqa: T201


def as_table(walk: RollingForecasts, names: list[str]) -> pl.DataFrame:
    """Table of quantile forecasts: one row per origin, series and step.

    Args:
        walk: Rolling forecasts.
        names: Names of the series.

    Returns:
        Columns `origin` (row number), `series`, `step` (from 1), `actual`, and `q<level>` per quantile.
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
    """Table of sampled paths: one row per series, path and step.

    Args:
        paths: Samples, (C, S, H).
        names: Names of the C series.

    Returns:
        Columns `series`, `path`, `step` (from 1) and `value`.
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
