"""Returns of random walks as features of nodes, in one graph and in sets of graphs."""

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.graph import (
    DeepWalkFeatures,
    DegreeFeatures,
    FlatGraphs,
    GraphDataModule,
    IdentityFeatures,
    KarateClub,
    LinkDataModule,
    NodeDataModule,
    RandomGraphSplit,
    RandomLinkSplit,
    RandomNodeSplit,
    RandomWalkFeatures,
)
from tests.graph_sets import InMemory, draw_graphs

CLUB = KarateClub().read()


def dense_returns(edge_index: Tensor, num_nodes: int, steps: int) -> Tensor:
    """By dense powers of the random walk matrix, standardised over nodes with edges; nodes without edges get 0."""
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.double)
    adjacency[edge_index[0], edge_index[1]] = 1
    adjacency = torch.maximum(adjacency, adjacency.T)
    degree = adjacency.sum(1)
    walk = adjacency / degree.clamp(min=1)[:, None]
    found = torch.stack([torch.linalg.matrix_power(walk, step).diagonal() for step in range(1, steps + 1)], dim=1)
    linked = degree > 0
    deviation = found[linked].std(0, correction=0)
    scaled = (found - found[linked].mean(0)) / torch.where(deviation > 1e-6, deviation, 1.0)
    return (scaled * linked[:, None]).float()


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_returns_are_diagonals_of_powers_of_the_walk(steps: int) -> None:
    loops = torch.tensor([[0, 3, 36, 37, 38], [0, 3, 37, 36, 38]])  # two parts more, and node 34, 35, 39 by themselves
    edge_index = torch.cat([CLUB.edge_index, loops, CLUB.edge_index[:, :5]], dim=1)
    found = RandomWalkFeatures(steps=steps).compute(edge_index, num_nodes=40)
    torch.testing.assert_close(found, dense_returns(edge_index, 40, steps), atol=2e-4, rtol=1e-3)
    assert not found[[34, 35, 39]].any()


def test_returns_stand_beside_own_features_and_read_training_edges_alone() -> None:
    nodes = NodeDataModule(graph=KarateClub(), split=RandomNodeSplit(), features=RandomWalkFeatures(steps=4))
    assert nodes.num_features == 38
    assert nodes.protocol()["features"] == "34 of its own and returns of random walks within 4 steps"
    features = RandomWalkFeatures(steps=4)
    links = LinkDataModule(
        graph=KarateClub(), split=RandomLinkSplit(val=0.2, test=0.2), features=features, own_features=False
    )
    batch = next(iter(links.test_dataloader()))
    assert torch.equal(batch.x, features.compute(batch.edge_index, num_nodes=34))
    assert batch.edge_index.shape[1] < CLUB.num_edges


def of_a_set(graphs: FlatGraphs, **options) -> GraphDataModule:
    return GraphDataModule(graphs=InMemory(graphs), split=RandomGraphSplit(), **options)


def test_graphs_of_a_set_get_returns_and_degrees_of_their_own_edges() -> None:
    graphs = draw_graphs(3, num_graphs=40, empty=(4,))
    first = graphs.node_ptr[:-1].repeat_interleave(graphs.edge_ptr.diff())
    data = of_a_set(graphs, features=RandomWalkFeatures(steps=3))
    together = graphs.edge_index + first
    torch.testing.assert_close(data.graphs.x[:, :3], graphs.x)
    expected = dense_returns(together, len(graphs.x), 3)
    torch.testing.assert_close(data.graphs.x[:, 3:], expected, atol=2e-4, rtol=1e-3)
    assert data.protocol()["features"] == "3 of a node and returns of random walks within 3 steps"
    degrees = of_a_set(graphs, features=DegreeFeatures(), own_features=False)
    assert degrees.num_features == 1
    last = degrees.graphs.batch(np.array([39]))
    assert torch.equal(last.x[:, 0], torch.bincount(last.edge_index[1], minlength=len(last.x)).float().log1p())


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(ValueError, match="a connected part of the graph has 34 nodes, max_nodes is 33; raise it"):
        RandomWalkFeatures(max_nodes=33).compute(CLUB.edge_index, num_nodes=34)
    with pytest.raises(ValueError, match=r"data.features.steps: 0 given"):
        RandomWalkFeatures(steps=0)
    for features in (IdentityFeatures(), DeepWalkFeatures()):
        with pytest.raises(ValueError, match="has no meaning across the graphs of a set; take RandomWalkFeatures"):
            of_a_set(draw_graphs(0), features=features)
    with pytest.raises(ValueError, match="data.own_features: false given without data.features"):
        of_a_set(draw_graphs(0), own_features=False)
