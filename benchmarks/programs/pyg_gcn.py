"""Graph convolutions on Cora in plain PyTorch and PyG, written after PyG's examples/gcn.py: the peer.

usage: pyg_gcn.py NUM_SEEDS FOLDER     the folder of the raw files of Cora
"""

import json
import statistics
import sys
import time
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.io import read_planetoid_data
from torch_geometric.nn import GCNConv

torch.set_num_threads(1)
EPOCHS = 200


class Peer(nn.Module):
    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.first = GCNConv(num_features, 16)
        self.second = GCNConv(16, num_classes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        drop = partial(F.dropout, p=0.5, training=self.training)
        return self.second(drop(self.first(drop(x), edge_index).relu()), edge_index)


def main(num_seeds: int, folder: str) -> None:
    graph = read_planetoid_data(folder, "cora")
    x = graph.x / graph.x.sum(-1, keepdim=True).clamp(min=1.0)
    masks = (graph.train_mask, graph.val_mask, graph.test_mask)
    accuracies, seconds = [], []
    for seed in range(num_seeds):
        torch.manual_seed(seed)
        model = Peer(x.shape[1], int(graph.y.max()) + 1)
        decayed = {"params": model.first.parameters(), "weight_decay": 5e-4}
        optimizer = torch.optim.Adam([decayed, {"params": model.second.parameters()}], lr=0.01)
        best = at_best = 0.0
        start = time.process_time()
        for _ in range(EPOCHS):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x, graph.edge_index)[graph.train_mask], graph.y[graph.train_mask]).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                correct = model(x, graph.edge_index).argmax(-1) == graph.y
            _, val, test = (float(correct[mask].float().mean()) for mask in masks)
            if val > best:
                best, at_best = val, test
        seconds.append((time.process_time() - start) / EPOCHS)
        accuracies.append(at_best)
    print(json.dumps({
        "cpu_s_per_epoch": statistics.median(seconds),
        "accuracy": statistics.fmean(accuracies),
        "deviation": statistics.stdev(accuracies) if num_seeds > 1 else 0.0,
    }))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
