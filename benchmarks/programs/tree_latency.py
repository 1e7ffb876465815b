"""Milliseconds of requests to a package of boosted trees, and of LightGBM's own prediction of the same rows.

usage: tree_latency.py FOLDER
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import torch

from benchmarks.page import config
from lightning_app.__main__ import main as app
from lightning_app.cli.trained_run import TrainedRun
from lightning_app.packaging import Package
from models.trees import BoostedTrees, LightGBM

ROUNDS, CALLS, BATCH = 15, 200, 10_000

torch.set_num_threads(1)


def milliseconds(*asked: Callable[[], Any], calls: int) -> list[float]:
    """CPU time of a call, which is its wall time on an idle machine: median over rounds of some calls, in turn."""
    found: list[list[float]] = [[] for _ in asked]
    for _ in range(ROUNDS):
        for times, ask in zip(found, asked, strict=True):
            ask()
            start = time.process_time()
            for _ in range(calls):
                ask()
            times.append(1000 * (time.process_time() - start) / calls)
    return [statistics.median(times) for times in found]


def main(folder: Path) -> None:
    os.chdir(folder)
    sys.argv = ["lightning-app"]
    given = config("tabular/adult_lightgbm")
    out, sys.stdout = sys.stdout, sys.stderr
    assert app(["fit", "-c", given, "--run.root", "runs"]) == 0
    (checkpoint,) = Path("runs").glob("*/*/checkpoints/best.ckpt")
    assert app(["export", str(checkpoint), "--output", "package"]) == 0
    package = Package.load("package")
    trained = TrainedRun(["--ckpt_path", str(checkpoint)])
    data: Any = trained.datamodule
    data.prepare_data()
    data.setup("test")
    sys.stdout = out
    model = BoostedTrees.load_from_checkpoint(checkpoint)
    settings = model.booster
    assert isinstance(settings, LightGBM)

    rows = data.split_rows
    arrays = data.arrays
    columns = torch.cat([arrays["numbers"], arrays["categories"].float()], dim=1).numpy()
    target = arrays["target"].numpy()
    dataset = lightgbm.Dataset(
        columns[rows.train],
        target[rows.train],
        categorical_feature=list(range(data.num_numbers, columns.shape[1])),
    )
    parameters = settings.settings(model.objective, np.zeros(columns.shape[1]), seed=0, threads=1)
    booster = lightgbm.train(parameters, dataset, model.network.num_trees)

    asked = np.random.default_rng(0).choice(rows.test, BATCH)
    numbers = arrays["numbers"][asked].numpy()
    inputs = {
        "numbers": np.nan_to_num(numbers),
        "missing": np.isnan(numbers),
        "categories": arrays["categories"][asked].numpy(),
    }
    row = {name: values[:1] for name, values in inputs.items()}
    needed = [column.name for column in package.manifest.raw_input.columns]  # type: ignore[union-attr]
    cells = data.rows[asked[:1]].select(needed).row(0, named=True)
    whole = {"age", "education_num"}
    numeric = {*whole, "fnlwgt", "capital_gain", "capital_loss", "hours_per_week"}
    raw = {
        name: [value if name not in numeric else int(value) if name in whole else float(value)]
        for name, value in cells.items()
    }
    theirs = columns[asked]
    probabilities = package.predict(inputs)["probabilities"][:, 1]
    apart = float(np.abs(probabilities - booster.predict(theirs, num_threads=1)).max())
    raw_apart = float(np.abs(package.predict(raw)["probabilities"][0, 1] - probabilities[0]))
    one = theirs[:1].copy()
    kinds = {
        name: pandas.CategoricalDtype(sorted(str(value) for value in data.rows[name].unique() if value is not None))
        for name in needed
        if name not in numeric
    }
    order = [*(name for name in needed if name in numeric), *kinds]
    frame = pandas.DataFrame({name: data.rows[rows.train][name].to_numpy() for name in order})
    frame = frame.astype({name: kinds.get(name, "float64") for name in order})
    raw_booster = lightgbm.train(parameters, lightgbm.Dataset(frame, target[rows.train]), model.network.num_trees)
    classifier = lightgbm.LGBMClassifier(n_estimators=model.network.num_trees, **parameters)
    classifier.fit(
        columns[rows.train], target[rows.train], categorical_feature=list(range(data.num_numbers, columns.shape[1]))
    )
    session = package.session
    returned, feed = (
        [found.name for found in session.get_outputs()],
        {tensor.name: row[tensor.name] for tensor in session.get_inputs()},
    )
    one_frame = pandas.DataFrame(raw)[order].astype(kinds)
    single = milliseconds(
        lambda: package.predict(row),
        lambda: package.predict(raw),
        lambda: booster.predict(one),
        lambda: booster.predict(one, num_threads=1),
        lambda: raw_booster.predict(pandas.DataFrame(raw)[order].astype(kinds)),
        lambda: raw_booster.predict(one_frame, num_threads=1),
        lambda: classifier.predict_proba(one),
        lambda: session.run(returned, feed),
        calls=CALLS,
    )
    batch = milliseconds(lambda: package.predict(inputs), lambda: booster.predict(theirs, num_threads=1), calls=1)
    print(
        json.dumps(
            {
                "trees": model.network.num_trees,
                "apart": apart,
                "raw_apart": raw_apart,
                "dense": single[0],
                "raw": single[1],
                "library": min(single[2:4]),
                "library_raw": single[4],
                "library_frame": single[5],
                "library_classifier": single[6],
                "runtime": single[7],
                "batch": batch[0],
                "library_batch": batch[1],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
