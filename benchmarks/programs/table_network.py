"""Fits and tests one config of a table with one seed, of the split as well, and prints its metrics.

usage: table_network.py CONFIG SEED [OPTION ...]
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from lightning_app.__main__ import main as app

torch.set_num_threads(1)


def main(config: str, seed: str, options: list[str]) -> None:
    sys.argv = ["lightning-app"]
    seeds = ["--seed_everything", seed, "--data.split.init_args.seed", seed]
    with tempfile.TemporaryDirectory() as root:
        start = time.process_time()
        assert app(["fit", "-c", config, "--run.root", root, *seeds, *options]) == 0
        seconds = time.process_time() - start
        (run,) = (path.parent for path in Path(root).glob("*/*/config.yaml"))
        assert app(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
        metrics = json.loads((run / "metrics.json").read_text())
    print(json.dumps({**metrics, "fit_cpu_s": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
