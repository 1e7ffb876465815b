"""Random small graphs for the samplers' tests."""

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.sampler import NodeSamplerInput, SamplerOutput

from datamodules.graph.sampling.neighbor_sampler import NeighborSampler


@st.composite
def graphs(draw, max_nodes: int = 10, max_edges: int = 30) -> tuple[Tensor, int]:
    """Edges with loops, repetitions and isolated nodes, and the number of nodes."""
    num_nodes = draw(st.integers(1, max_nodes))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=max_edges))
    return torch.tensor(edges, dtype=torch.int64).view(-1, 2).T, num_nodes


@st.composite
def seeds_of(draw, num_nodes: int) -> Tensor:
    """Some distinct nodes."""
    return torch.tensor(draw(st.lists(st.integers(0, num_nodes - 1), unique=True, max_size=4)), dtype=torch.int64)


def sampled(sampler: NeighborSampler, seed: Tensor, time: Tensor | None = None) -> SamplerOutput:
    out = sampler.sample_from_nodes(NodeSamplerInput(None, seed, time))
    assert isinstance(out, SamplerOutput)
    return out


def random_graph(num_nodes: int, num_edges: int) -> Tensor:
    return torch.randint(num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(0))
