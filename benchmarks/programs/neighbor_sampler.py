"""CPU milliseconds to sample one batch of neighbours, and what it costs to build the sampler of a large graph.

usage: neighbor_sampler.py [--batches 50]
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import Tensor
from torch_geometric.sampler import NodeSamplerInput

from datamodules.graph.sampling.neighbor_sampler import NeighborSampler

torch.set_num_threads(1)
SEEDS = 512
FAN_OUT = [15, 10]
NUM_EDGES = 1_000_000
NUM_NODES = (10_000, 100_000)
LARGE = (1_000_000, 20_000_000)
TIMES = 1000
KINDS = ("joined", "disjoint", "temporal")


def random_edges(num_nodes: int, num_edges: int, generator: torch.Generator) -> Tensor:
    return torch.randint(num_nodes, (2, num_edges), generator=generator)


def batch_milliseconds(num_nodes: int, kind: str, batches: int, generator: torch.Generator) -> dict[str, float | str]:
    """Median over batches; a temporal seed sees half of the graph or more."""
    temporal = kind == "temporal"
    sampler = NeighborSampler(
        edge_index=random_edges(num_nodes, NUM_EDGES, generator),
        num_nodes=num_nodes,
        fan_out=FAN_OUT,
        disjoint=kind == "disjoint",
        edge_time=torch.randint(TIMES, (NUM_EDGES,), generator=generator) if temporal else None,
    )
    costs, edges = [], []
    for key in range(batches):
        seed = torch.randperm(num_nodes, generator=generator)[:SEEDS]
        seed_time = torch.randint(TIMES // 2, TIMES, (SEEDS,), generator=generator) if temporal else None
        start = time.process_time()
        sampler.reseed(key)
        out = sampler.sample_from_nodes(NodeSamplerInput(None, seed, seed_time))
        costs.append(1000 * (time.process_time() - start))
        edges.append(len(out.edge))
    return {
        "num_nodes": num_nodes,
        "kind": kind,
        "cpu_ms": statistics.median(costs),
        "edges_per_batch": statistics.median(edges),
    }


def build_cost(num_nodes: int, num_edges: int, generator: torch.Generator) -> dict[str, float]:
    """Seconds, and how far the peak memory rises above the edges themselves."""
    edge_index = random_edges(num_nodes, num_edges, generator)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    NeighborSampler(edge_index=edge_index, num_nodes=num_nodes, fan_out=FAN_OUT)
    seconds = time.process_time() - start
    rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"num_nodes": num_nodes, "num_edges": num_edges, "cpu_s": seconds, "peak_rise_mib": rise}


def main(batches: int) -> None:
    generator = torch.Generator().manual_seed(0)
    build = build_cost(*LARGE, generator)  # first, while the peak is low
    rows = [batch_milliseconds(size, kind, batches, generator) for size in NUM_NODES for kind in KINDS]
    print(json.dumps({"build": build, "rows": rows}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=50)
    main(parser.parse_args().batches)
