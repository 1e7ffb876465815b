"""LightGBM on Adult through the command, or by lightgbm.train on the same rows and columns: CPU seconds.

The library is imported before either is timed.

usage: tree_fit.py command|plain
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightgbm
import torch

from models.trees import BoostedTrees

CONFIG = str(Path(__file__).resolve().parents[2] / "configs/tabular/adult_lightgbm.yaml")
torch.set_num_threads(1)


class TimedTrees(BoostedTrees):
    """Boosted trees that know the CPU time of their fit, from arrays to checked trees."""

    seconds = 0.0

    def training_step(self, batch: Any, batch_idx: int) -> None:
        start = time.process_time()
        super().training_step(batch, batch_idx)
        self.seconds = time.process_time() - start


def through_the_command() -> dict[str, float]:
    from lightning_app.cli import run

    with tempfile.TemporaryDirectory() as root:
        sys.argv = ["lightning-app"]
        start = time.process_time()
        config = Path(root) / "timed.yaml"
        config.write_text(Path(CONFIG).read_text().replace("models.trees.BoostedTrees", "__main__.TimedTrees"))
        cli = run(["fit", "-c", str(config), "--run.root", root])
        return {"fit": cli.model.seconds, "job": time.process_time() - start, "rounds": cli.model.last_round}


def plain() -> dict[str, float]:
    import yaml

    from datamodules.tabular import FeatureTableDataModule, RandomSplit
    from datamodules.tabular.row_files import RowFiles
    from datamodules.tabular.text_table import TextFormat

    start = time.process_time()
    config = yaml.safe_load(Path(CONFIG).read_text())
    given = config["data"]["init_args"]
    given["rows"] = RowFiles(**given["rows"])
    given["csv"] = TextFormat(**{**given["csv"], "columns": tuple(given["csv"]["columns"])})
    given["split"] = RandomSplit(**given["split"]["init_args"])
    data = FeatureTableDataModule(**given)
    data.setup("fit")
    arrays, rows = data.arrays, data.split_rows
    columns = torch.cat([arrays["numbers"], arrays["categories"].float()], dim=1).numpy()
    target = arrays["target"].numpy()
    settings = config["model"]["init_args"]["booster"]["init_args"]
    parameters = {
        "objective": "binary",
        "num_leaves": settings["num_leaves"],
        "learning_rate": settings["learning_rate"],
        "feature_fraction": settings["column_share"],
        "lambda_l2": settings["l2"],
        **settings["parameters"],
        "seed": 0,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    fit = time.process_time()
    train = lightgbm.Dataset(
        columns[rows.train], target[rows.train], categorical_feature=list(range(data.num_numbers, columns.shape[1]))
    )
    val = train.create_valid(columns[rows.val], target[rows.val])
    stop = lightgbm.early_stopping(settings["patience"], verbose=False)
    booster = lightgbm.train(parameters, train, settings["rounds"], valid_sets=[val], callbacks=[stop])
    end = time.process_time()
    return {"fit": end - fit, "job": end - start, "rounds": booster.current_iteration()}


if __name__ == "__main__":
    out, sys.stdout = sys.stdout, sys.stderr
    answer = through_the_command() if sys.argv[1] == "command" else plain()
    sys.stdout = out
    print(json.dumps(answer))
