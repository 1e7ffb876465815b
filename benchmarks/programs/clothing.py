"""Fits and tests configs on the clothing reviews, and compares the first with the others by a paired bootstrap.

usage: clothing.py ROOT SEED SEED SEED CONFIG ...
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score

from lightning_app.cli.trained_run import TrainedRun
from lightning_app.commands.compare import run

RESAMPLES = 2000
NAMES = ("average_precision", "f1")


def scores(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Average precision and F1 of the second class."""
    return {
        "average_precision": float(average_precision_score(targets, probabilities)),
        "f1": float(f1_score(targets, probabilities > 0.5)),
    }


def test_probabilities(folder: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Targets and probabilities of the second class on the test rows, in their order, and the number of training rows."""
    trained = TrainedRun(["--ckpt_path", folder])
    data: Any = trained.datamodule
    data.setup("test")
    rows, targets, probabilities = [], [], []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for batch in data.test_dataloader():
            rows.append(batch["row"].numpy())
            targets.append(batch["target"].numpy())
            probabilities.append(trained.model.predict_step(batch, 0)["probabilities"][:, 1].float().numpy())
    order = np.argsort(np.concatenate(rows))
    return np.concatenate(targets)[order], np.concatenate(probabilities)[order], len(data.split_rows.train)


def gains(targets: np.ndarray, ours: np.ndarray, other: np.ndarray) -> dict[str, dict[str, float]]:
    """Difference of the means over seeds, with its interval over test rows.

    Args:
        targets: (N,).
        ours: Probabilities, (seeds, N).
        other: The same of the other model.
    """

    def difference(chosen: np.ndarray) -> dict[str, float]:
        means = [
            {name: statistics.fmean(scores(targets[chosen], one[chosen])[name] for one in model) for name in NAMES}
            for model in (ours, other)
        ]
        return {name: means[0][name] - means[1][name] for name in NAMES}

    rng = np.random.default_rng(0)
    resampled = [difference(rng.integers(len(targets), size=len(targets))) for _ in range(RESAMPLES)]
    measured = difference(np.arange(len(targets)))
    bounds = {name: np.quantile([one[name] for one in resampled], [0.025, 0.975]) for name in NAMES}
    return {
        name: {"mean": measured[name], "low": float(bounds[name][0]), "high": float(bounds[name][1])} for name in NAMES
    }


def main(root: str, seeds: list[str], configs: list[str]) -> None:
    """Prints the rows and the differences as JSON."""
    run(["compare", "--root", root, *configs, "--seeds", *seeds])
    newest = max(Path(root, "compare").glob("*/table.json"), key=lambda path: path.parent.name)
    compared = {Path(row["name"]).stem: row for row in json.loads(newest.read_text())}
    answered, rows = {}, {}
    for name, row in compared.items():
        tested = [test_probabilities(folder) for folder in row["folders"]]
        targets = tested[0][0]
        answered[name] = np.stack([one[1] for one in tested])
        each = [scores(targets, one) for one in answered[name]]
        rows[name] = {
            kind: {
                "mean": statistics.fmean(one[kind] for one in each),
                "spread": statistics.stdev(one[kind] for one in each),
            }
            for kind in NAMES
        } | {"cpu_seconds": row["cpu_seconds"]}
    first, *others = answered
    answer = {
        "rows": rows,
        "gains": {name: gains(targets, answered[first], answered[name]) for name in others},
        "train": tested[0][2],
        "test": len(targets),
        "positive": float(targets.mean()),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:5], sys.argv[5:])
