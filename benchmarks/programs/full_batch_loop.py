"""Lightning's loop on a whole graph beside a plain one: same weights to the last bit, and what each step costs.

usage: full_batch_loop.py ENCODER STEPS   (GCN or GAT)
"""

import json
import statistics
import sys
import time
from functools import partial

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from datamodules.graph import NodeDataModule, Planetoid, PublicSplit
from models.graph import GAT, GCN, NodeClassifier

torch.set_num_threads(1)
REPEATS = 5
ENCODERS = {"GCN": GCN, "GAT": GAT}


def build(encoder: str) -> NodeClassifier:
    torch.manual_seed(0)
    return NodeClassifier(
        encoder=ENCODERS[encoder](num_features=1433, output_size=7),
        num_features=1433,
        num_classes=7,
        optimizer=partial(torch.optim.Adam, lr=0.01, weight_decay=5e-4),
    )


def plain(encoder: str, data: NodeDataModule, steps: int) -> tuple[float, list[Tensor]]:
    model = build(encoder).train()
    (batch,) = {id(batch): batch for batch in data.train_dataloader()}.values()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    torch.manual_seed(1)
    start = time.process_time()
    for _ in range(steps):
        optimizer.zero_grad()
        model.step(batch).loss.backward()
        optimizer.step()
    return time.process_time() - start, list(model.parameters())


def lightning(encoder: str, data: NodeDataModule, steps: int) -> tuple[float, list[Tensor]]:
    model = build(encoder)
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    torch.manual_seed(1)
    start = time.process_time()
    trainer.fit(model, data)
    return time.process_time() - start, list(model.parameters())


def main(encoder: str, steps: int) -> None:
    data = NodeDataModule(
        graph=Planetoid(name="Cora"), split=PublicSplit(), normalize_features=True, steps_per_epoch=steps
    )
    each_epoch = NodeDataModule(graph=Planetoid(name="Cora"), split=PublicSplit(), normalize_features=True)
    costs: dict[str, list[float]] = {"plain": [], "lightning": [], "lightning, an epoch per step": []}
    for _ in range(REPEATS):
        results = [plain(encoder, data, steps), lightning(encoder, data, steps), lightning(encoder, each_epoch, steps)]
        for (seconds, weights), found in zip(results, costs.values(), strict=True):
            found.append(seconds / steps)
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, results[0][1], strict=True))
    ratios = {
        name: statistics.median(ours / theirs for ours, theirs in zip(found, costs["plain"], strict=True))
        for name, found in costs.items()
    }
    print(json.dumps({"cpu_s": {name: statistics.median(found) for name, found in costs.items()}, "ratios": ratios}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
