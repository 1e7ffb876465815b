"""Defaults for nodes, old and new, on development sets: accuracy per set, mean over seeds.

usage: node_defaults.py SEEDS

Each seed draws 20 nodes per class to train and 30 to validate; all others are scored, except the test nodes of the public
splits of Cora and CiteSeer and 40 % of the digits, which nothing here looks at.
"""

import json
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch_geometric.data import Data

from datamodules.graph import DigitsGraph, Planetoid, ShchurSplit
from datamodules.graph.sources.features import Normalization, choose_normalization, prepare_features
from models.graph import GCN
from models.graph.encoders.whole_graph import PreparedGraphs, encode

MOST = 400
PATIENCE = 100


@dataclass(frozen=True)
class Default:
    """How nodes are classified where a config says nothing.

    Attributes:
        normalize: Normalisation of features; None chooses from their values.
        width: Hidden size of the GCN.
        patience: Whether the validation loss ends training, instead of 200 epochs.
    """

    normalize: Normalization | None
    width: int
    patience: bool


DEFAULTS = {
    "old": Default("rows", 16, patience=False),
    "rows, 64": Default("rows", 64, patience=True),
    "none, 64": Default("none", 64, patience=True),
    "new": Default(None, 64, patience=True),
}


def blocks(
    seed: int, sizes: list[int], *, degree: int, homophily: float, columns: int, filled: float, signal: float
) -> Data:
    """Nodes of classes of given sizes, degrees with a long tail; words if `filled`, else numbers in units of their own."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    weight = rng.pareto(2.5, len(y)) + 1
    source = rng.choice(len(y), len(y) * degree // 2, p=weight / weight.sum())
    target = rng.choice(len(y), len(source), p=weight / weight.sum())
    same = rng.random(len(source)) < homophily
    for label in range(len(sizes)):
        chosen, members = same & (y[source] == label), np.flatnonzero(y == label)
        target[chosen] = rng.choice(members, chosen.sum(), p=weight[members] / weight[members].sum())
    edges = np.stack([source, target])[:, source != target]
    of_class = rng.normal(0, signal, (len(sizes), columns))[y]
    if filled:
        logit = np.log(filled / (1 - filled)) + rng.normal(0, 1, columns) + of_class
        x = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
    else:
        scale = np.exp(rng.normal(0, 2, columns))
        x = scale * (of_class + rng.normal(0, 1, of_class.shape) + 3 * rng.normal(0, 1, columns))
    edge_index = torch.from_numpy(np.unique(np.c_[edges, edges[::-1]], axis=1))
    return Data(x=torch.from_numpy(x).float(), edge_index=edge_index, y=torch.from_numpy(y))


@cache
def public(name: str) -> Data:
    graph = Planetoid(name=name).read()  # type: ignore[arg-type]
    return Data(x=graph.x, edge_index=graph.edge_index, y=graph.y.masked_fill(graph.test_mask, -1))


def projected(scale: float) -> Data:
    """Cora with its words projected to 128 dense numbers, whose units differ by `scale`."""
    graph = public("Cora").clone()
    generator = torch.Generator().manual_seed(5)
    projection = torch.randn(graph.x.shape[1], 128, generator=generator) / 128**0.5
    graph.x = (graph.x @ projection) * torch.exp(scale * torch.randn(128, generator=generator))
    return graph


def digits() -> Data:
    graph = DigitsGraph().read()
    hidden = torch.from_numpy(np.random.default_rng(99).random(len(graph.y)) < 0.4)
    return Data(x=graph.x, edge_index=graph.edge_index, y=graph.y.masked_fill(hidden, -1))


SETS = {
    "Cora": lambda: public("Cora"),
    "CiteSeer": lambda: public("CiteSeer"),
    "Cora, dense projection": lambda: projected(0.0),
    "Cora, dense, own units": lambda: projected(1.5),
    "digits": digits,
    "blocks of dense words, degree 30": lambda: blocks(
        1, [400, 300, 250, 200, 160, 130, 100, 80],
        degree=30, homophily=0.6, columns=400, filled=0.3, signal=0.08,
    ),
    "blocks of numbers in own units": lambda: blocks(
        4, [800, 500, 300, 200], degree=10, homophily=0.6, columns=20, filled=0, signal=0.5
    ),
}  # fmt: skip


def accuracy(graph: Data, default: Default, seed: int) -> float:
    """Accuracy on the scored nodes at the epoch that validation chooses."""
    parts = ShchurSplit(seed=seed).split(graph)
    torch.manual_seed(seed)
    encoder = GCN(num_features=graph.x.shape[1], output_size=int(graph.y.max()) + 1, hidden_size=default.width)
    decayed = list(encoder.layers[0].parameters())
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": 5e-4},
        {"params": list(encoder.layers[1:].parameters())},
    ]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    chosen = default.normalize or choose_normalization(graph.x)[0]
    batch = Data(x=prepare_features(graph.x, normalize=chosen, sparse=None), edge_index=graph.edge_index)
    batch.whole_graph, known = True, PreparedGraphs()
    best, found, lowest, lowest_at = -1.0, 0.0, float("inf"), 0
    for epoch in range(MOST if default.patience else 200):
        encoder.train()
        optimizer.zero_grad()
        F.cross_entropy(encode(encoder, batch, known)[parts.train], graph.y[parts.train]).backward()
        optimizer.step()
        encoder.eval()
        with torch.no_grad():
            logits = encode(encoder, batch, known)
        right = (logits.argmax(1) == graph.y).float()
        if (score := right[parts.val].mean().item()) > best:
            best, found = score, right[parts.test].mean().item()
        loss = F.cross_entropy(logits[parts.val], graph.y[parts.val]).item()
        if loss < lowest:
            lowest, lowest_at = loss, epoch
        if epoch - lowest_at >= PATIENCE and default.patience:
            break
    return found


def mean(values: list[float]) -> float:
    return float(np.mean(values))


if __name__ == "__main__":
    torch.set_num_threads(1)
    seeds = range(int(sys.argv[1]))
    rows = {}
    for name, make in SETS.items():
        graph: Data = make()
        rows[name] = {
            key: mean([accuracy(graph, default, seed) for seed in seeds]) for key, default in DEFAULTS.items()
        }
        print(name, rows[name], file=sys.stderr, flush=True)
    print(json.dumps({"defaults": list(DEFAULTS), "accuracy": rows}))
