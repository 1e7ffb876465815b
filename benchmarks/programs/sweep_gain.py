"""A sweep beside the config that it starts from: best validation value of each, and the test of both.

usage: sweep_gain.py CONFIG SPACE TRIALS
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

SEEDS = tuple(str(seed) for seed in range(10))


def best_validation(config: str, root: str, metric: str) -> float:
    """The best value of a metric over the epochs of one fit with the config's own seed."""
    import polars as pl

    from lightning_app.cli import run

    folder = run(["fit", "-c", config, "--run.root", root]).folder
    return float(pl.read_csv(folder.history)[metric].drop_nulls().max())  # type: ignore[arg-type]


def main(config: str, space: str, trials: str) -> None:
    from lightning_app.__main__ import main as lightning_app

    (metric,) = yaml.safe_load(Path(space).read_text())["metrics"]
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        words = ["sweep", "-c", config, "--space", space, "--trials", trials, "--workers", "2", "--root", root]
        assert lightning_app(words) == 0
        best = str(next(Path(root).glob("sweeps/*/best.yaml")))
        answer: dict[str, Any] = {"trials": int(trials), "metric": metric}
        for name, path in (("shipped", config), ("swept", best)):
            assert lightning_app(["compare", path, "--root", f"{root}/{name}", "--seeds", *SEEDS]) == 0
            table = max(Path(root, name, "compare").glob("*/table.json"))
            (row,) = json.loads(table.read_text())
            answer[name] = {
                "validation": best_validation(path, f"{root}/{name}", metric),
                "test": row["metrics"]["test/accuracy"],
                "spread": row["spread"]["test/accuracy"],
            }
        given = yaml.safe_load(Path(best).read_text())
        answer["head"] = Path(best).read_text().splitlines()[0]
        answer["model"] = given["model"]
    print(json.dumps(answer))


if __name__ == "__main__":
    os.environ["WANDB_MODE"] = "disabled"
    main(*sys.argv[1:4])
