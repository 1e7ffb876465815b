"""Answered rows of small packages in a journal, as a server would have written them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from lightning_app.drift.reference import REFERENCE_FILE, SAMPLE_FILE, build_reference, build_sample
from lightning_app.packaging import Package
from lightning_app.serving.journal.record import Outcome
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.serving.journal.records import prediction
from tests.packages import COLUMNS, small_package

DAY = 86_400.0
START = 20_000 * DAY
"""A midnight."""


def features(num_rows: int, *, seed: int = 0, shift: float = 0.0) -> pl.DataFrame:
    """Requests of a small package; a shift moves `length` and `width`."""
    values = np.random.default_rng(seed).standard_normal((num_rows, len(COLUMNS))).astype(np.float32)
    values[:, :2] += shift
    return pl.DataFrame(values, schema=list(COLUMNS))


def write_package_with_reference(folder: Path, **options: Any) -> tuple[Path, Path]:
    """A small package, and the folder of its drift reference."""
    package = small_package(folder / options.pop("name", "price"), **options)
    rows = answered_table(package, features(2000, seed=1))
    reference = folder / "reference"
    reference.mkdir(exist_ok=True)
    roles: dict[str, Any] = dict.fromkeys(COLUMNS, "input") | {"prediction.price": "prediction", "outcome": "outcome"}
    (reference / REFERENCE_FILE).write_bytes(build_reference(rows, roles=roles).to_bytes())
    build_sample(rows).write_parquet(reference / SAMPLE_FILE)
    return package, reference


def answered_table(package: Path, requests: pl.DataFrame, *, error: float = 0.1, seed: int = 3) -> pl.DataFrame:
    """Requests with answers of a package, and outcomes that are some error away."""
    answers = Package.load(package, replay=False).predict(requests)
    values = answers["price"]
    noise = np.random.default_rng(seed).standard_normal(len(values)) * error
    return requests.with_columns(values.alias("prediction.price"), (values + noise).alias("outcome"))


def write_answers(
    url: str,
    package: Path,
    requests: pl.DataFrame,
    times: Sequence[float],
    *,
    model: str = "price",
    version: int | None = None,
    error: float = 0.1,
    seed: int = 3,
    delay: float = 3600.0,
    known_until: float = float("inf"),
) -> None:
    """Writes answers of one row each, and the outcomes that are known until some time."""
    rows = answered_table(package, requests, error=error, seed=seed)
    digest = Package.load(package, replay=False).digest
    store = open_store(url)
    predictions, outcomes = [], []
    for time, row in zip(times, rows.iter_rows(named=True), strict=True):
        outcome, value = row.pop("outcome"), row.pop("prediction.price")
        one = prediction(
            time=time, model=model, version=version, digest=digest,
            body=json.dumps({"records": [row]}).encode(),
            answer=json.dumps({"predictions": [{"price": value}]}).encode(),
        )  # fmt: skip
        predictions.append(one)
        if time + delay <= known_until:
            raw = msgspec.Raw(json.dumps(outcome).encode())
            outcomes.append(
                Outcome(request_id=one.request_id, row=0, time=time + delay, outcome=raw, reward=None, key_id=None)
            )
    store.write(predictions)
    store.feedback(outcomes)
    store.close()
