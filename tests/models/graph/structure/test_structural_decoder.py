"""Structural features of pairs: what they count, and that neither held-out links nor a pair's own edge enter them."""

from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph import (
    DegreeFeatures,
    GraphTable,
    KarateClub,
    LinkDataModule,
    LinkSplit,
    RandomLinkSplit,
)
from datamodules.graph.splits.link_split import Links, SplitLinks
from models.graph import GCN, CosineDecoder, LinkPredictor, NodeMLP, StructuralDecoder, export_onnx

nx = pytest.importorskip("networkx", reason="networkx, which comes with torch, is the reference")
EDGES = KarateClub().read().edge_index
NUM_NODES = 34
HELD_OUT = EDGES[:, EDGES[0] < EDGES[1]][:, ::6]


def without(pairs: Tensor) -> Tensor:
    """Mask of the edges that join none of these pairs."""
    given = EDGES.unsqueeze(2)  # (2, E, 1)
    joins = (given == pairs.unsqueeze(1)).all(0) | (given == pairs.flip(0).unsqueeze(1)).all(0)
    return ~joins.any(1)


def test_features_are_those_of_networkx() -> None:
    club = nx.Graph(EDGES.T.tolist())
    pairs = torch.tensor(list(nx.non_edges(club))).T
    ends = [tuple(pair) for pair in pairs.T.tolist()]
    features = StructuralDecoder().features(pairs, EDGES, NUM_NODES)
    for column, index in ((1, nx.jaccard_coefficient), (2, nx.adamic_adar_index), (3, nx.resource_allocation_index)):
        expected = torch.tensor([value for _, _, value in index(club, ends)])
        found = features[:, column] if column == 1 else features[:, column].expm1()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    ranks = {node: nx.pagerank(club, alpha=0.85, personalization={node: 1}, tol=1e-12) for node in club}
    mean = torch.tensor([(ranks[u][v] + ranks[v][u]) / 2 + 1e-6 for u, v in ends])
    torch.testing.assert_close(features[:, 8].exp(), mean, atol=1e-6, rtol=1e-4)


def test_the_own_edge_of_a_pair_does_not_enter_its_features() -> None:
    decoder = StructuralDecoder(damping=0.1)
    pairs = EDGES[:, EDGES[0] < EDGES[1]]
    assert (torch.bincount(EDGES[0]) == 1).any()  # a node that is isolated without its only edge
    features = decoder.features(pairs, EDGES, NUM_NODES)
    for row, pair in zip(features, pairs.T, strict=True):
        mask = without(pair.unsqueeze(1))
        assert mask.sum() == EDGES.shape[1] - 2
        torch.testing.assert_close(decoder.features(pair.unsqueeze(1), EDGES[:, mask], NUM_NODES)[0], row)
    other = decoder.features(pairs[:, 1:], EDGES[:, without(pairs[:, :1])], NUM_NODES)
    assert ((other - features[1:]).abs() > 1e-4).any(0).all()  # every feature depends on some other edge
    torch.testing.assert_close(decoder.features(pairs.flip(0), EDGES, NUM_NODES), features)


class Fixed(LinkSplit):
    """Holds out the same pairs, whether or not they are edges of the graph."""

    @property
    @override
    def name(self) -> str:
        return "fixed"

    @override
    def describe(self) -> str:
        return "fixed pairs"

    @override
    def split(self, graph: Data) -> SplitLinks:
        held = torch.cat([HELD_OUT, HELD_OUT.flip(0)], dim=1)
        mask = ~torch.isin(graph.edge_index[0] * NUM_NODES + graph.edge_index[1], held[0] * NUM_NODES + held[1])
        seen = graph.edge_index[:, mask]
        links = Links(HELD_OUT, torch.tensor([[0], [9]]).expand_as(HELD_OUT))
        return SplitLinks(mask, seen[:, seen[0] < seen[1]], links, links)

    @override
    def negatives(self, graph: Data, positives: object, generator: object) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def test_scores_of_held_out_links_do_not_depend_on_their_being_in_the_file(tmp_path: Path) -> None:
    pl.DataFrame({"id": range(NUM_NODES), "label": ["a", "b"] * 17}).write_csv(tmp_path / "nodes.csv")
    scores, edges = [], []
    for index, kept in enumerate((torch.ones(EDGES.shape[1], dtype=torch.bool), without(HELD_OUT))):
        file = tmp_path / f"edges{index}.csv"
        pl.DataFrame(EDGES[:, kept].T.numpy(), schema=["source", "target"]).write_csv(file)
        data = LinkDataModule(
            graph=GraphTable(nodes=tmp_path / "nodes.csv", edges=file, label="label"),
            split=Fixed(),
            features=DegreeFeatures(),
        )
        torch.manual_seed(0)
        encoder = GCN(num_features=1, output_size=4)
        model = LinkPredictor(encoder=encoder, decoder=StructuralDecoder(embedding=CosineDecoder()), num_features=1)
        model.step(next(iter(data.train_dataloader()))).loss.backward()
        model.eval()
        scores.append(model.logits(next(iter(data.test_dataloader()))))
        edges.append(data.graph.num_edges)
    assert edges[0] > edges[1]
    assert torch.equal(scores[0], scores[1])


def test_structure_alone_learns_and_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = LinkDataModule(graph=KarateClub(), split=RandomLinkSplit(val=0.1, test=0.1), features=DegreeFeatures())
    model = LinkPredictor(
        encoder=NodeMLP(num_features=35, output_size=1, hidden_size=1), decoder=StructuralDecoder(), num_features=35
    )
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.step(batch).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.6 < losses[0]
    with pytest.raises(ValueError, match=r"model.decoder: StructuralDecoder computes features of pairs from all edges"):
        export_onnx(model, tmp_path / "links.onnx")  # type: ignore[arg-type]
    model.decoder = StructuralDecoder(max_nodes=33)
    with pytest.raises(ValueError, match="for the pairs of 34 nodes, max_nodes is 33; raise it"):
        model.step(batch)
    sampled = LinkDataModule(
        graph=KarateClub(), split=RandomLinkSplit(), features=DegreeFeatures(), fan_out=[2], batch_size=8
    )
    with pytest.raises(ValueError, match="StructuralDecoder reads all training edges, but a batch is a sampled"):
        model.step(next(iter(sampled.train_dataloader())))
