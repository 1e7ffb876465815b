"""A sweep beside the config that it starts from: validation and test of both, and of what the search alone would name.

usage: sweep_gain.py CONFIG SPACE TRIALS

The sweep's seeds and those of the test have nothing in common: the test is of seeds 0 to 9, the sweep counts from 100 on.
"""

import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

SEEDS = tuple(str(seed) for seed in range(10))
FIRST_SEED = "100"
TEST = "test/accuracy"


def of_seeds(config: Path | str, root: str) -> dict[str, list[float]]:
    """Best validation and test accuracy of each of the ten seeds."""
    from lightning_app.__main__ import main as lightning_app

    assert lightning_app(["compare", str(config), "--root", root, "--seeds", *SEEDS]) == 0
    table = max(Path(root, "compare").glob("*/table.json"))
    (row,) = json.loads(table.read_text())
    found = [json.loads(Path(folder, "metrics.json").read_text()) for folder in row["folders"]]
    return {"validation": [one["best/val/accuracy"] for one in found], "test": [one[TEST] for one in found]}


def main(config: str, space: str, trials: str) -> None:
    import polars as pl

    from lightning_app.__main__ import main as lightning_app

    given = yaml.safe_load(Path(space).read_text())
    ((metric, direction),) = given["metrics"].items()
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        words = ["sweep", "-c", config, "--space", space, "--trials", trials, "--workers", "2", "--root", root]
        assert lightning_app([*words, "--", "--seed_everything", FIRST_SEED]) == 0
        folder = next(Path(root).glob("sweeps/*"))
        trials_of = pl.read_parquet(folder / "trials.parquet").filter(pl.col("state") == "complete")
        first = trials_of.sort(metric, descending=direction == "maximize", nulls_last=True).row(0, named=True)
        best = folder / "best.yaml"
        configs: dict[str, Path | str] = {
            "shipped": config,
            "search": Path(first["folder"], "config.yaml"),
            "swept": best,
        }
        answer: dict[str, Any] = {
            "trials": int(trials), "metric": metric, "head": best.read_text().splitlines()[0].removeprefix("# "),
            "model": yaml.safe_load(best.read_text())["model"], "first_seed": int(FIRST_SEED),
            "options": {key: given.get(key) for key in ("seeds_per_trial", "reevaluate")},
            "fits": len(list(folder.glob("trials/*/*/config.yaml"))),
        }  # fmt: skip
        for name, path in configs.items():
            found = of_seeds(path, f"{root}/{name}")
            answer[name] = {
                key: {"values": values, "mean": statistics.fmean(values), "spread": statistics.stdev(values)}
                for key, values in found.items()
            }
    print(json.dumps(answer))


if __name__ == "__main__":
    os.environ["WANDB_MODE"] = "disabled"
    main(*sys.argv[1:4])
