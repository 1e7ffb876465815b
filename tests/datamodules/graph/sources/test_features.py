"""Features are normalised as their values ask for, unless the config says how."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph import GraphSource, GraphTable, NodeDataModule, RandomLinkSplit, RandomNodeSplit
from datamodules.graph.link_data import LinkDataModule
from datamodules.graph.sources.features import choose_normalization
from datamodules.graph.sources.source import tensor_checksum


class Ring(GraphSource):
    """A ring of nodes with given features."""

    undirected = True

    def __init__(self, x: Tensor) -> None:
        self.x = x

    @property
    @override
    def name(self) -> str:
        return "ring"

    @override
    def load(self) -> Data:
        nodes = torch.arange(len(self.x))
        return Data(x=self.x, edge_index=torch.stack([nodes, nodes.roll(1)]), y=nodes % 2)

    @override
    def checksums(self) -> dict[str, str]:
        return {"x": tensor_checksum([self.x])}


def words(num_nodes: int = 40, most: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    present = torch.rand(num_nodes, 100, generator=generator) < 0.03
    return present * torch.randint(1, most + 1, present.shape, generator=generator).float()


def read(x: Tensor, **options) -> NodeDataModule:
    return NodeDataModule(graph=Ring(x), split=RandomNodeSplit(), **options)


def dense(x: Tensor) -> Tensor:
    return x.to_dense() if x.layout == torch.sparse_csr else x


def test_rows_of_sparse_counts_are_divided_by_their_sum_and_a_line_says_so() -> None:
    x = words()
    for own in (x, x.to_sparse_csr()):
        data = read(own)
        torch.testing.assert_close(dense(data.graph.x), x / x.sum(1, keepdim=True).clamp(min=1))
        (note,) = data.notes()
        assert note.startswith("features: each row divided by its sum, because they are counts, 3")


def test_dense_truth_values_are_centred_and_keep_their_proportions() -> None:
    x = (torch.rand(40, 100, generator=torch.Generator().manual_seed(0)) < 0.35).float()
    data = read(x)
    torch.testing.assert_close(data.graph.x.mean(0), torch.zeros(100), atol=1e-5, rtol=0)
    steps = data.graph.x.amax(0) - data.graph.x.amin(0)
    torch.testing.assert_close(steps, steps[:1].expand(100))
    assert data.graph.x.square().mean().sqrt() == pytest.approx(1.0, abs=1e-4)
    assert data.notes() == [
        "features: columns centred, with one scale for all, because they are dense (35 % not 0), between 0 and 1"
    ]
    kept = read(x, sparse_features=True)
    assert torch.equal(dense(kept.graph.x), x)
    assert kept.notes() == ["features: not normalised, because data.sparse_features is true, and they are dense"]


def test_dense_columns_in_units_of_their_own_are_standardised_and_a_constant_is_zero() -> None:
    generator = np.random.default_rng(0)
    x = torch.from_numpy(np.c_[generator.normal(40, 10, 40), generator.normal(5e4, 2e4, 40), np.full(40, 3.3)]).float()
    data = read(x)
    torch.testing.assert_close(data.graph.x.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.graph.x.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5, rtol=0)
    assert data.notes()[0].startswith("features: each column standardised, because they are dense (100 % not 0)")


def test_sparse_numbers_that_are_no_counts_stay_as_they_are() -> None:
    weights = words() * 0.37
    data = read(weights)
    assert torch.equal(dense(data.graph.x), weights)
    assert choose_normalization(-words())[0] == "none"
    assert choose_normalization(torch.zeros(3, 2))[0] == "none"


@pytest.mark.parametrize("x", [words(), words() + 7])
def test_what_is_given_is_taken(x: Tensor) -> None:
    by_row = read(x, normalize_features=True)
    torch.testing.assert_close(dense(by_row.graph.x), x / x.sum(1, keepdim=True).clamp(min=1))
    left = read(x, normalize_features=False)
    assert torch.equal(dense(left.graph.x), x)
    by_column = read(x.to_sparse_csr(), normalize_features="columns")
    varied = x.std(0) > 0
    torch.testing.assert_close(by_column.graph.x.std(0, correction=0), varied.float(), atol=1e-5, rtol=0)
    assert [data.notes() for data in (by_row, left, by_column)] == [[], [], []]
    with pytest.raises(ValueError, match=r"data.sparse_features: true given with normalize_features: .columns."):
        read(x, normalize_features="columns", sparse_features=True)


def test_links_and_tables_are_normalised_alike(tmp_path) -> None:
    x = words() + 7
    links = LinkDataModule(graph=Ring(x), split=RandomLinkSplit(val=0.2, test=0.2))
    assert torch.equal(next(iter(links.train_dataloader())).x, read(x).graph.x)
    assert "standardised" in links.notes()[0]
    pl.DataFrame({"id": range(9), "age": range(9), "label": [0, 1, 1] * 3}).write_csv(tmp_path / "nodes.csv")
    pl.DataFrame({"source": range(8), "target": range(1, 9)}).write_csv(tmp_path / "edges.csv")
    table = GraphTable(nodes=tmp_path / "nodes.csv", edges=tmp_path / "edges.csv", label="label")
    nodes = NodeDataModule(graph=table, split=RandomNodeSplit())
    assert nodes.graph.x.mean().abs() < 1e-6
    assert "features: each column standardised" in nodes.notes()[-1]
