"""Features of nodes from their place in the graph."""

from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.graph import (
    ConstantFeature,
    DeepWalkFeatures,
    DegreeFeatures,
    GraphTable,
    IdentityFeatures,
    KarateClub,
    LinkDataModule,
    NodeDataModule,
    NodeFeatures,
    RandomLinkSplit,
    RandomNodeSplit,
)

CLUB = KarateClub().read()


def test_degrees_of_links_are_those_of_the_training_edges() -> None:
    split = RandomLinkSplit(val=0.2, test=0.2)
    data = LinkDataModule(graph=KarateClub(), split=split, features=DegreeFeatures())
    batch = next(iter(data.train_dataloader()))
    seen = torch.bincount(batch.edge_index[1], minlength=34)
    assert (batch.x[:, -1] == seen.float().log1p()).all()
    assert seen.sum() < CLUB.num_edges
    assert data.num_features == 35  # those of the club are one-hot
    assert data.protocol()["features"] == "34 of its own and degrees"
    for loader in (data.val_dataloader(), data.test_dataloader()):
        assert torch.equal(next(iter(loader)).x, batch.x)


def test_own_features_are_normalised_and_added_ones_are_not() -> None:
    degree = torch.bincount(CLUB.edge_index[1], minlength=34)
    data = NodeDataModule(
        graph=KarateClub(), split=RandomNodeSplit(), features=DegreeFeatures(max_degree=4), normalize_features=True
    )
    assert torch.equal(data.graph.x[:, :34], CLUB.x)
    assert torch.equal(data.graph.x[:, 34:].argmax(1), degree.clamp(max=4))
    sparse = NodeDataModule(
        graph=KarateClub(), split=RandomNodeSplit(), features=IdentityFeatures(), sparse_features=True
    )
    assert sparse.graph.x.layout == torch.sparse_csr
    assert torch.equal(sparse.graph.x.to_dense(), torch.cat([CLUB.x, torch.eye(34)], dim=1))
    constant = NodeDataModule(graph=KarateClub(), split=RandomNodeSplit(), features=ConstantFeature())
    assert constant.num_features == 35


def test_own_features_can_be_left_out() -> None:
    split = RandomLinkSplit(val=0.2, test=0.2)
    links = LinkDataModule(graph=KarateClub(), split=split, features=DegreeFeatures(), own_features=False)
    x = next(iter(links.test_dataloader())).x
    assert x.shape == (34, 1)
    assert links.protocol()["features"] == "degrees instead of 34 of its own"
    nodes = NodeDataModule(
        graph=KarateClub(), split=RandomNodeSplit(), features=IdentityFeatures(), own_features=False, fan_out=[2]
    )
    assert nodes.num_features == 34
    assert torch.equal(nodes.graph.x.to_dense(), torch.eye(34))
    with pytest.raises(ValueError, match="data.own_features: false given without data.features"):
        LinkDataModule(graph=KarateClub(), split=split, own_features=False)


def test_deep_walk_embeddings_factorise_the_co_occurrences_of_training_edges() -> None:
    one_step = DeepWalkFeatures(size=33, window=1).compute(CLUB.edge_index, num_nodes=34).double()
    degree = torch.bincount(CLUB.edge_index[1]).double()
    expected = torch.zeros(34, 34, dtype=torch.double)
    source, target = CLUB.edge_index
    expected[source, target] = (degree.sum() / (degree[source] * degree[target])).clamp(min=1).log()
    # Square roots of absolute eigenvalues: the product of embeddings is the absolute value of the matrix.
    torch.testing.assert_close(one_step @ one_step.T @ one_step @ one_step.T, expected @ expected, atol=1e-3, rtol=1e-4)
    split = RandomLinkSplit(val=0.2, test=0.2)
    features = DeepWalkFeatures(size=8)
    data = LinkDataModule(graph=KarateClub(), split=split, features=features, own_features=False)
    batch = next(iter(data.test_dataloader()))
    assert torch.equal(batch.x, features.compute(batch.edge_index, num_nodes=34))
    with pytest.raises(ValueError, match="size: 34 given for a graph of 34 nodes; give at most 33"):
        DeepWalkFeatures(size=34).compute(CLUB.edge_index, num_nodes=34)
    with pytest.raises(ValueError, match="for 34 nodes, max_nodes is 33; raise it"):
        DeepWalkFeatures(size=8, max_nodes=33).compute(CLUB.edge_index, num_nodes=34)


class Neighbors(NodeFeatures):
    """An own class: rows of the adjacency."""

    @override
    def compute(self, edge_index: Tensor, *, num_nodes: int) -> Tensor:
        x = torch.zeros(num_nodes, num_nodes)
        x[edge_index[1], edge_index[0]] = 1
        return x

    @override
    def describe(self) -> str:
        return "neighbours"


def test_a_graph_without_features_takes_those_of_a_class_of_ones_own(tmp_path: Path) -> None:
    labels = [["a", "b"][int(label > 1)] for label in CLUB.y]
    pl.DataFrame({"id": range(34), "label": labels}).write_csv(tmp_path / "nodes.csv")
    pl.DataFrame(CLUB.edge_index.T.numpy(), schema=["source", "target"]).write_csv(tmp_path / "edges.csv")
    table = GraphTable(nodes=tmp_path / "nodes.csv", edges=tmp_path / "edges.csv", label="label")
    data = NodeDataModule(graph=table, split=RandomNodeSplit(), features=Neighbors())
    x = next(iter(data.train_dataloader())).x.to_dense()
    assert torch.equal(x, Neighbors().compute(CLUB.edge_index, num_nodes=34))
    with pytest.raises(ValueError, match="data.features: none given, and nodes has no features of nodes"):
        _ = NodeDataModule(graph=table, split=RandomNodeSplit()).num_features


def test_later_edges_are_in_no_feature_of_a_temporal_graph() -> None:
    with pytest.raises(ValueError, match="DegreeFeatures reads all edges, with data.temporal: true later ones too"):
        NodeDataModule(
            graph=KarateClub(), split=RandomNodeSplit(), features=DegreeFeatures(), fan_out=[2], temporal=True
        )
