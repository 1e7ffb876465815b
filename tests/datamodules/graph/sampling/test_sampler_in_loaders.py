import numpy as np
import polars as pl
import pytest
import torch
import torch_geometric.typing
from lightning import LightningModule, Trainer
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.lightning import LightningLinkData, LightningNodeData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.nn import SAGEConv
from torch_geometric.sampler import (
    EdgeSamplerInput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)

import datamodules.graph.sampling.neighbor_sampler as module
from datamodules.graph import GraphTable
from datamodules.graph.sampling.neighbor_sampler import CompiledNeighborSampler, NeighborSampler, neighbor_sampler
from datamodules.graph.sampling.typed_sampler import TypedNeighborSampler
from tests.datamodules.graph.sampling.graphs_to_sample import random_graph

BUYS, BOUGHT = ("user", "buys", "item"), ("item", "bought_by", "user")


def plain_graph(**attributes) -> Data:
    edge_index = random_graph(100, 800)
    return Data(
        x=torch.arange(100.0).view(100, 1),
        y=torch.arange(100) % 3,
        edge_index=edge_index,
        edge_attr=torch.arange(800.0),
        **attributes,
    )


def typed_graph() -> HeteroData:
    data = HeteroData()
    data["user"].x = torch.arange(50.0).view(50, 1)
    data["item"].x = torch.arange(50.0).view(50, 1)
    data[BUYS].edge_index = random_graph(50, 300)
    data[BOUGHT].edge_index = data[BUYS].edge_index.flip(0)
    return data


def test_a_node_loader_reads_features_of_what_was_sampled():
    data = plain_graph()
    loader = NodeLoader(data, neighbor_sampler(data, fan_out=[4, 2]), input_nodes=torch.arange(90), batch_size=32)
    seen = []
    for batch in loader:
        assert torch.equal(batch.x[:, 0].long(), batch.n_id)
        assert torch.equal(batch.edge_attr.long(), batch.e_id)
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        seen.append(batch.n_id[: batch.batch_size])
    assert torch.equal(torch.cat(seen), torch.arange(90))


def test_loaders_take_a_table_whose_ids_are_texts() -> None:
    ids = [f"n{i}" for i in range(20)]
    pl.DataFrame({"id": ids, "x": np.arange(20.0)}).write_csv("nodes.csv")
    pl.DataFrame({"source": ids, "target": ids[1:] + ids[:1], "when": range(20)}).write_csv("edges.csv")
    graph = GraphTable(nodes="nodes.csv", edges="edges.csv", time="when").read()
    sampler = neighbor_sampler(graph, fan_out=[2, 2], time_attr="edge_time")
    for batch in NodeLoader(graph, sampler, input_nodes=None, batch_size=8, input_time=torch.full((20,), 9)):
        assert graph.node_names[batch.n_id].tolist() == [f"n{int(x)}" for x in batch.x[:, 0]]
        assert not batch.edge_time.numel() or batch.edge_time.max() <= 9


def test_a_link_loader_reads_ends_and_negatives():
    data = plain_graph()
    sampler = neighbor_sampler(data, fan_out=[4, 2])
    loader = LinkLoader(data, sampler, batch_size=100, neg_sampling=NegativeSampling("binary", 1))
    for number, batch in enumerate(loader):
        positives = batch.n_id[batch.edge_label_index[:, batch.edge_label == 1]]
        assert torch.equal(positives, data.edge_index[:, 100 * number : 100 * (number + 1)])
    for batch in LinkLoader(data, sampler, batch_size=100, neg_sampling=NegativeSampling("triplet", 2)):
        assert batch.dst_neg_index.shape == (100, 2)


def test_loaders_of_typed_graphs():
    data = typed_graph()
    sampler = neighbor_sampler(data, fan_out=[3, 3])
    for batch in NodeLoader(data, sampler, input_nodes="item", batch_size=20):
        assert torch.equal(batch["user"].x[:, 0].long(), batch["user"].n_id)
        edges = torch.stack(
            [batch[kind].n_id[end] for kind, end in zip(BUYS[::2], batch[BUYS].edge_index, strict=True)]
        )
        assert torch.equal(edges, data[BUYS].edge_index[:, batch[BUYS].e_id])
    for batch in LinkLoader(data, sampler, edge_label_index=BUYS, batch_size=50, neg_sampling="binary"):
        assert batch[BUYS].edge_label_index.shape == (2, 100)


def test_workers_draw_differently_and_reproducibly():
    data = plain_graph()
    same = torch.zeros(64, dtype=torch.int64)  # the same seed in each batch
    loader = NodeLoader(data, neighbor_sampler(data, fan_out=[4, 2]), input_nodes=same, batch_size=16, num_workers=2)

    def epoch():
        return [tuple(batch.e_id.tolist()) for batch in loader]

    torch.manual_seed(0)
    first, second = epoch(), epoch()
    torch.manual_seed(0)
    assert epoch() == first
    assert len({*first, *second}) == 8  # copies of one stream would repeat themselves


class Small(LightningModule):
    def __init__(self):
        super().__init__()
        self.conv = SAGEConv(1, 3)

    def training_step(self, batch, index):
        logits = self.conv(batch.x, batch.edge_index)
        if "edge_label_index" in batch:
            ends = logits[batch.edge_label_index]
            return torch.nn.functional.binary_cross_entropy_with_logits((ends[0] * ends[1]).sum(1), batch.edge_label)
        return torch.nn.functional.cross_entropy(logits[: batch.batch_size], batch.y[: batch.batch_size])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


@pytest.mark.parametrize("links", [False, True])
def test_pyg_data_modules_train_with_it(links):
    data = plain_graph()
    sampler = neighbor_sampler(data, fan_out=[4, 2])
    if links:
        data_module = LightningLinkData(
            data, data.edge_index, loader="custom", link_sampler=sampler, neg_sampling_ratio=1.0, batch_size=200
        )
    else:
        data_module = LightningNodeData(
            data, input_train_nodes=torch.arange(100), loader="custom", node_sampler=sampler, batch_size=25
        )
    trainer = Trainer(max_epochs=1, accelerator="cpu", barebones=True)
    trainer.fit(Small(), data_module)
    assert trainer.global_step == 4


def test_pyg_data_modules_evaluate_with_another_fan_out():
    data = plain_graph()
    data_module = LightningNodeData(
        data,
        input_train_nodes=torch.arange(100),
        input_val_nodes=torch.arange(100),
        loader="custom",
        node_sampler=neighbor_sampler(data, fan_out=[1]),
        eval_loader_kwargs={"fan_out": [-1]},
        batch_size=100,
    )
    (train,), (val,) = data_module.train_dataloader(), data_module.val_dataloader()
    assert train.num_edges == len(data.edge_index[1].unique())
    assert val.num_edges == 800


def test_times_are_found_by_their_name():
    time = torch.arange(100)
    seeds = NodeSamplerInput(None, torch.tensor([3]), torch.tensor([50]))
    of_nodes = plain_graph(time=time)
    out = neighbor_sampler(of_nodes, fan_out=[-1, -1], time_attr="time").sample_from_nodes(seeds)
    assert (time[out.node[1:]] <= 50).all()
    of_edges = plain_graph(edge_time=torch.arange(800))
    out = neighbor_sampler(of_edges, fan_out=[-1, -1], time_attr="edge_time").sample_from_nodes(seeds)
    assert (out.edge <= 50).all()
    typed = typed_graph()
    typed[BUYS].edge_time = torch.arange(300)
    items = NodeSamplerInput(None, torch.arange(50), torch.full((50,), 99), "item")
    out = neighbor_sampler(typed, fan_out=[-1], time_attr="edge_time").sample_from_nodes(items)
    assert out.edge[BUYS].sort().values.tolist() == list(range(100))
    with pytest.raises(ValueError, match=r"data\.time_attr: neither nodes nor edges have 'when'"):
        neighbor_sampler(of_nodes, fan_out=[1], time_attr="when")


def test_seeds_without_a_time_have_that_of_their_node():
    time = torch.arange(100).flip(0)
    data = plain_graph(time=time)
    for batch in NodeLoader(data, neighbor_sampler(data, fan_out=[-1, -1], time_attr="time"), batch_size=10):
        assert (batch.time <= batch.time[batch.batch]).all()  # seeds come first, in the order of their subgraphs
        assert batch.edge_index.shape[1]
    given = NodeLoader(data, neighbor_sampler(data, fan_out=[-1], time_attr="time"), batch_size=100, input_time=time)
    own = NodeLoader(data, neighbor_sampler(data, fan_out=[-1], time_attr="time"), batch_size=100)
    assert torch.equal(next(iter(given)).n_id, next(iter(own)).n_id)
    edges = plain_graph(edge_time=torch.arange(800))
    with pytest.raises(ValueError, match="seeds have no time, but the graph does: give input_time"):
        next(iter(NodeLoader(edges, neighbor_sampler(edges, fan_out=[1], time_attr="edge_time"))))


@pytest.mark.parametrize("edges", [{}, {"edge_index": torch.empty(2, 0)}, {"edge_index": torch.empty(2, 0).long()}])
def test_a_graph_without_edges_gives_its_seeds(edges):
    data = Data(x=torch.arange(10.0).view(10, 1), **edges)
    batches = list(NodeLoader(data, neighbor_sampler(data, fan_out=[2, 2]), batch_size=5))
    assert [batch.x[:, 0].tolist() for batch in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    typed = HeteroData(user={"x": data.x}, item={"x": data.x})
    if edges:
        typed[BUYS].edge_index = edges["edge_index"]
    (batch,) = NodeLoader(typed, neighbor_sampler(typed, fan_out=[2]), input_nodes="item", batch_size=10)
    assert (batch["item"].num_nodes, batch["user"].num_nodes) == (10, 0)


def test_edges_that_are_not_an_edge_index_are_refused():
    with pytest.raises(
        ValueError, match="a sparse adjacency and no edge_index; leave out the transform ToSparseTensor"
    ):
        neighbor_sampler(Data(x=torch.zeros(3, 1), adj_t=torch.eye(3).to_sparse_csr()), fan_out=[1])
    with pytest.raises(ValueError, match="edge_attr and no edge_index"):
        neighbor_sampler(Data(x=torch.zeros(3, 1), edge_attr=torch.zeros(4)), fan_out=[1])


def test_without_pyg_lib_the_samplers_are_ours(monkeypatch):
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", False)
    assert isinstance(neighbor_sampler(plain_graph(), fan_out=[2]), NeighborSampler)
    assert isinstance(neighbor_sampler(typed_graph(), fan_out=[2]), TypedNeighborSampler)


def test_with_pyg_lib_the_sampler_is_pyg_s(monkeypatch):
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", True)
    given = {}

    def construct(self, data, **arguments):
        given.update(arguments, data=data)

    monkeypatch.setattr(torch_geometric.sampler.NeighborSampler, "__init__", construct)
    data = plain_graph()
    sampler = module.neighbor_sampler(data, fan_out=[3, 2], time_attr="time", disjoint=True)
    assert isinstance(sampler, CompiledNeighborSampler)
    assert given == {"data": data, "num_neighbors": [3, 2], "time_attr": "time", "disjoint": True}


class OnlySeeds(CompiledNeighborSampler):
    """Stands in for the compiled draw with one from the generator that pyg-lib draws from."""

    def _sample(self, seed, seed_time=None, **kwargs):
        node = torch.randint(100, (50,))
        return SamplerOutput(node=node, row=node[:0], col=node[:0], edge=None)


@pytest.mark.filterwarnings("ignore:Using 'OnlySeeds' without:UserWarning")
def test_a_key_decides_what_the_compiled_sampler_draws():
    sampler = OnlySeeds(plain_graph(), fan_out=[2], time_attr=None, disjoint=False, key=1)
    state = torch.get_rng_state()
    assert sampler.with_fan_out([7]).num_neighbors.values == [7]
    assert sampler.num_neighbors.values == [2]
    assert sampler.edge_permutation is not None  # without it, its edge numbers mean nothing
    links = EdgeSamplerInput(None, torch.arange(9), torch.arange(9))

    def drawn(key):
        sampler.reseed(key)
        around = sampler.sample_from_nodes(NodeSamplerInput(None, torch.arange(3))).node
        _, index, *_ = sampler.sample_from_edges(links, NegativeSampling("binary", 5)).metadata
        return around.tolist(), index.tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert torch.equal(torch.get_rng_state(), state)
