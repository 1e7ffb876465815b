"""Seconds to explain one node of Cora on the part of the graph that reaches it, and on the whole graph.

usage: explain_cut.py [--nodes 10] [--epochs 100]
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

from datamodules.graph import NodeDataModule, Planetoid, PublicSplit
from models.graph import GCN, explain_node

torch.set_num_threads(1)
WHOLE = 10_000
"""Hops that take in every node that reaches the explained one."""


def trained_gcn(data: NodeDataModule) -> GCN:
    torch.manual_seed(0)
    encoder = GCN(num_features=data.num_features, output_size=data.num_classes)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01, weight_decay=0.0005)
    graph, nodes = data.graph, data.indices.train
    prepared = encoder.prepare(graph.edge_index, None, len(graph.y))
    for _ in range(100):
        loss = F.cross_entropy(encoder(graph.x, prepared)[nodes], graph.y[nodes])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder


def main(num_nodes: int, epochs: int) -> None:
    data = NodeDataModule(graph=Planetoid(name="Cora"), split=PublicSplit(), normalize_features=True)
    encoder = trained_gcn(data)
    seconds: dict[str, list[float]] = {"cut": [], "whole": []}
    for node in data.indices.test[:num_nodes].tolist():
        for name, num_hops in (("cut", None), ("whole", WHOLE)):
            start = time.process_time()
            explain_node(encoder, data.graph, node, num_hops=num_hops, num_epochs=epochs)
            seconds[name].append(time.process_time() - start)
    medians = {f"{name}_cpu_s": statistics.median(values) for name, values in seconds.items()}
    ratio = medians["whole_cpu_s"] / medians["cut_cpu_s"]
    print(json.dumps({"nodes": num_nodes, "epochs": epochs, **medians, "ratio": ratio}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=100)
    given = parser.parse_args()
    main(given.nodes, given.epochs)
