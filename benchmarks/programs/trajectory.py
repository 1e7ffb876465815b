"""Fits and tests a trajectory forecaster and prints its WQL beside the classical forecast's.

usage: trajectory.py CONFIG [OPTION ...]
"""

import json
import sys
import tempfile

import torch

from lightning_app.cli import run
from lightning_app.evaluation.trajectories.trajectory_report import test_forecasts

torch.set_num_threads(1)


def main(config: str, options: list[str]) -> None:
    sys.argv = ["lightning-app"]
    with tempfile.TemporaryDirectory() as root:
        fitted = run(["fit", "-c", config, *options, "--run.root", root])
        checkpoint = fitted.folder.checkpoints / "best.ckpt"
        tested = run(["test", "--ckpt_path", str(checkpoint)])
        reported = fitted.folder.read_metrics()["test/wql"]
        columns = list(range(len(tested.datamodule.tickers)))
        model, classical = test_forecasts(tested.model, tested.datamodule, columns)
    summary = model.summary(classical)
    ratio = summary.wql_ratio
    print(
        json.dumps(
            {
                "wql": summary.model.wql,
                "classical": summary.baseline.wql,
                "reported": reported,
                "ratio": ratio.ratio,
                "low": ratio.low,
                "high": ratio.high,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
