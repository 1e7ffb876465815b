"""Seconds to explain one node of Cora on the part of the graph that reaches it, on the whole graph, and by PyG's own.

usage: explain_cut.py [--nodes 10] [--epochs 100]
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import models as pyg_models

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


def peer_seconds(data: NodeDataModule, nodes: list[int], epochs: int) -> float:
    """PyG's GNNExplainer over PyG's GCN of the same size, dense features, the whole graph; the edges alone."""
    model = pyg_models.GCN(data.num_features, 16, 2, data.num_classes).eval()
    explainer = Explainer(
        model,
        GNNExplainer(epochs=epochs),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"},
    )
    x, costs = data.graph.x.to_dense(), []
    for node in nodes:
        start = time.process_time()
        explainer(x, data.graph.edge_index, index=node)
        costs.append(time.process_time() - start)
    return statistics.median(costs)


def main(num_nodes: int, epochs: int) -> None:
    data = NodeDataModule(graph=Planetoid(name="Cora"), split=PublicSplit(), normalize_features=True)
    encoder = trained_gcn(data)
    seconds: dict[str, list[float]] = {"cut": [], "whole": []}
    nodes = data.indices.test[:num_nodes].tolist()
    for node in nodes:
        for name, num_hops in (("cut", None), ("whole", WHOLE)):
            start = time.process_time()
            explain_node(encoder, data.graph, node, num_hops=num_hops, num_epochs=epochs)
            seconds[name].append(time.process_time() - start)
    medians = {f"{name}_cpu_s": statistics.median(values) for name, values in seconds.items()}
    medians["pyg_cpu_s"] = peer_seconds(data, nodes[:3], epochs)
    ratio = medians["whole_cpu_s"] / medians["cut_cpu_s"]
    print(json.dumps({"nodes": num_nodes, "epochs": epochs, **medians, "ratio": ratio}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=100)
    given = parser.parse_args()
    main(given.nodes, given.epochs)
