"""Purchases of CDNOW customers in the next 39 weeks: a tabular model from fit to score, beside BG/NBD.

usage: cdnow.py FOLDER
"""

import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.special import hyp2f1

from datamodules.sources import data_root
from features.definitions import CsvFormat
from features.sources.files import scan_file
from lightning_app.__main__ import main as app

torch.set_num_threads(1)
END, WEEK = datetime(1997, 9, 30), 7 * 86400.0
R, ALPHA, A, B = 0.243, 4.414, 0.793, 2.426
"""BG/NBD on the sample, weeks (Fader, Hardie & Lee 2005, table 2)."""


def days(name: str, columns: tuple[str, ...], skip: int) -> pl.DataFrame:
    """Customer and day of each day with a purchase."""
    csv = CsvFormat(separator="whitespace", columns=columns, skip_rows=skip)
    log = scan_file(str(data_root(None) / "cdnow" / name), csv=csv, root=None, place=name).collect()
    return log.select(pl.col("customer_id").cast(pl.Int64), pl.col("date").str.to_datetime("%Y%m%d")).unique()


def bg_nbd(log: pl.DataFrame, weeks: float) -> pl.DataFrame:
    """Expected days with a purchase in the weeks after `END`, by customer."""
    past = (
        log.filter(pl.col("date") <= END)
        .group_by("customer_id")
        .agg(pl.len().alias("days"), pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    )
    x = past["days"].to_numpy() - 1.0
    recency = (past["last"] - past["first"]).dt.total_seconds().to_numpy() / WEEK
    age = (END - past["first"]).dt.total_seconds().to_numpy() / WEEK
    ratio = ((ALPHA + age) / (ALPHA + age + weeks)) ** (R + x)
    series = hyp2f1(R + x, B + x, A + B + x - 1, weeks / (ALPHA + age + weeks))
    died = np.where(x > 0, A / (B + np.maximum(x, 1) - 1) * ((ALPHA + age) / (ALPHA + recency)) ** (R + x), 0.0)
    expected = (A + B + x - 1) / (A - 1) * (1 - ratio * series) / (1 + died)
    return past.select("customer_id").with_columns(pl.Series("bg_nbd", expected))


def fitted_scores(folder: Path, name: str, *options: str) -> pl.DataFrame:
    """Fits, exports, and scores the raw file at week 39."""
    runs, package, output = folder / f"runs-{name}", folder / f"package-{name}", folder / f"{name}.parquet"
    assert app(["fit", "-c", "tabular/cdnow", "--run.root", str(runs), *options]) == 0
    (run,) = (path.parent for path in runs.glob("*/*/config.yaml"))
    assert app(["export", str(run), "--output", str(package)]) == 0
    raw = str(data_root(None) / "cdnow/CDNOW_master.txt")
    assert app(["score", str(package), raw, "--at", "1997-10-01", "--output", str(output)]) == 0
    return pl.read_parquet(output).select("customer_id", pl.col("prediction").cast(pl.Float64).alias(name))


def errors(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    return {
        "mae": float(np.abs(predicted - actual).mean()),
        "rmse": float(np.sqrt(((predicted - actual) ** 2).mean())),
        "correlation": float(np.corrcoef(predicted, actual)[0, 1]),
        "total": float(predicted.sum()),
    }


def main(folder: str) -> None:
    sys.argv = ["lightning-app"]
    log = days("CDNOW_master.txt", ("customer_id", "date", "cds", "dollars"), 1)
    sample = days("CDNOW_sample.txt", ("customer_id", "sample_id", "date", "cds", "dollars"), 0)
    customers = sample.select("customer_id").unique().sort("customer_id")
    holdout = log.filter(pl.col("date") > END).group_by("customer_id").agg(pl.len().alias("actual"))
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        full = fitted_scores(Path(place), "full")
        earlier = fitted_scores(
            Path(place), "earlier", "--data.at", "1997-05-17T12:00:00", "--data.label", "next_half",
        )  # fmt: skip
    table = customers.join(holdout, on="customer_id", how="left", maintain_order="left").with_columns(
        pl.col("actual").fill_null(0)
    )
    for part in (full, earlier, bg_nbd(log, 39.0)):
        table = table.join(part, on="customer_id", how="left", maintain_order="left")
    assert not table.null_count().sum_horizontal().item()
    actual = table["actual"].to_numpy().astype(np.float64)
    predictions = {"full": table["full"], "earlier": 2 * table["earlier"], "bg_nbd": table["bg_nbd"]}
    mean_before = log.filter(pl.col("date") <= END).height / log["customer_id"].n_unique()
    print(
        json.dumps(
            {
                "customers": len(table),
                "actual": float(actual.sum()),
                **{name: errors(column.to_numpy(), actual) for name, column in predictions.items()},
                "zero": errors_of_constant(0.0, actual),
                "mean_before": mean_before,
            }
        )
    )


def errors_of_constant(value: float, actual: np.ndarray) -> dict[str, float]:
    return {
        "mae": float(np.abs(value - actual).mean()),
        "rmse": float(np.sqrt(((value - actual) ** 2).mean())),
        "correlation": 0.0,
        "total": value * len(actual),
    }


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
