"""GraphSAGE with sampled neighbours on a generated graph of a million nodes: seeds per second and peak memory.

usage: large_graph.py NUM_NODES NUM_EDGES NUM_SEEDS
"""

import json
import sys
import time
from functools import partial

import torch
from lightning.pytorch import Trainer, seed_everything
from torch_geometric.data import Data

from datamodules.graph import GraphSource, NodeDataModule, PublicSplit
from models.graph import GraphSAGE, NodeClassifier

torch.set_num_threads(1)
NUM_FEATURES, NUM_CLASSES = 64, 10


class Generated(GraphSource):
    """Classes drawn at random; features are the class's centre and noise; a third of the edges stays in the class."""

    name = "generated"

    def __init__(self, num_nodes: int, num_edges: int, num_seeds: int) -> None:
        self.sizes = (num_nodes, num_edges, num_seeds)

    def checksums(self) -> dict[str, str]:
        return {}

    def load(self) -> Data:
        num_nodes, num_edges, num_seeds = self.sizes
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(num_nodes) % NUM_CLASSES
        centres = torch.randn(NUM_CLASSES, NUM_FEATURES, generator=generator)
        x = torch.randn(num_nodes, NUM_FEATURES, generator=generator).mul_(4).add_(centres[y])
        edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
        alike = torch.rand(num_edges, generator=generator) < 1 / 3
        edge_index[1, alike] -= (edge_index[1, alike] - edge_index[0, alike]) % NUM_CLASSES
        edge_index.clamp_(min=0)
        masks = {name: torch.zeros(num_nodes, dtype=torch.bool) for name in ("train_mask", "val_mask", "test_mask")}
        order = torch.randperm(num_nodes, generator=generator)
        for part, mask in enumerate(masks.values()):
            mask[order[part * num_seeds : (part + 1) * num_seeds]] = True
        return Data(x=x, edge_index=edge_index, y=y, **masks)


def main(num_nodes: int, num_edges: int, num_seeds: int) -> None:
    seed_everything(0, verbose=False)
    data = NodeDataModule(
        graph=Generated(num_nodes, num_edges, num_seeds), split=PublicSplit(), fan_out=[15, 10],
        eval_fan_out=[15, 10], batch_size=500,
    )  # fmt: skip
    start = time.process_time()
    data.train_dataloader()
    read = time.process_time() - start
    model = NodeClassifier(
        encoder=GraphSAGE(num_features=NUM_FEATURES, output_size=NUM_CLASSES, hidden_size=64),
        num_features=NUM_FEATURES, num_classes=NUM_CLASSES, optimizer=partial(torch.optim.Adam, lr=0.003),
    )  # fmt: skip
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    start, wall = time.process_time(), time.perf_counter()
    trainer.fit(model, data)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    (metrics,) = trainer.test(model, data, verbose=False)
    print(json.dumps({
        "read_cpu_s": read, "seeds_per_cpu_s": num_seeds / seconds, "seeds_per_s": num_seeds / wall,
        "accuracy": metrics["test/accuracy"],
    }))  # fmt: skip


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
