"""Fits the members of pools and collects the products of their errors on validation and test.

usage: ensemble_pools.py ROOT POOL ...

A member whose errors lie in ROOT already is not fitted again.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.ensembles.pools import Pool, pools
from lightning_app.cli import run
from models import Forecaster

torch.set_num_threads(1)


def fit_member(pool: Pool, name: str, root: Path) -> None:
    """Fits a member; its errors go to `ROOT/NAME.npz`, float32 (N, H * C), its checkpoint to `ROOT/runs/NAME`."""
    start = time.process_time()
    (member,) = (member for member in pool.members if member[0] == name)
    sys.argv = ["lightning-app"]
    cli = run(["fit", *pool.words(member), "--run.root", str(root / "runs"), "--run.name", name])
    seconds = time.process_time() - start
    module = Forecaster.load_from_checkpoint(Path(cli.folder.checkpoints) / "best.ckpt", map_location="cpu").eval()
    errors: dict[str, list[np.ndarray]] = {"val": [], "test": []}
    for split, parts in errors.items():
        dataset = cli.datamodule.dataset(split)
        for indices in np.array_split(np.arange(len(dataset)), -(-len(dataset) // 256)):
            batch = dataset.__getitems__(indices)
            with torch.no_grad():
                gap = module.target_scale(module(batch["past"])) - module.target_scale(batch["future"])
            parts.append(gap.flatten(1).numpy())
    arrays = {split: np.concatenate(parts) for split, parts in errors.items()}
    np.savez(root / f"{name}.part.npz", seconds=seconds, **arrays)
    (root / f"{name}.part.npz").rename(root / f"{name}.npz")


def products(pool: Pool, root: Path, split: str) -> tuple[torch.Tensor, int]:
    """Sums of products of errors by window, float64 (N, M, M), and how many errors a window has."""
    errors = np.stack([np.load(root / f"{name}.npz")[split] for name, *_ in pool.members], axis=1)  # (N, M, H * C)
    found = [torch.from_numpy(part).double() for part in np.array_split(errors, -(-len(errors) // 64))]
    return torch.cat([part @ part.transpose(1, 2) for part in found]), errors.shape[2]


if __name__ == "__main__":
    base, known, answer = Path(sys.argv[1]), pools(sys.argv[1]), {}
    for name in sys.argv[2:]:
        pool, root = known[name], base / name
        root.mkdir(parents=True, exist_ok=True)
        for member, *_ in pool.members:
            if not (root / f"{member}.npz").exists():
                fit_member(pool, member, root)
        found = {split: products(pool, root, split) for split in ("val", "test")}
        torch.save({split: of_windows for split, (of_windows, _) in found.items()}, root / "products.pt")
        seconds = {member: float(np.load(root / f"{member}.npz")["seconds"]) for member, *_ in pool.members}
        answer[name] = {"products": str(root / "products.pt"), "values": found["val"][1], "seconds": seconds}
    print(json.dumps(answer))
