from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from lightning.pytorch import seed_everything
from torch_geometric.data import Data

from datamodules.graph import (
    DigitsGraph,
    EdgeTable,
    GraphTable,
    HeteroGraphTable,
    KarateClub,
    NodeDataModule,
    NodeTable,
    RandomNodeSplit,
)
from datamodules.graph.sources.features import feature_rows, prepare_features
from models.graph import GCN, GraphSAGE, HeteroSAGE
from models.graph.encoders.whole_graph import PreparedGraphs, encode


def karate(**options) -> NodeDataModule:
    return NodeDataModule(graph=KarateClub(), split=RandomNodeSplit(train=0.4, val=0.3), **options)


@pytest.fixture
def library(tmp_path: Path) -> HeteroGraphTable:
    """Papers by authors: a paper's class follows from its authors' features."""
    rng = np.random.default_rng(0)
    camp = rng.integers(0, 2, 30)
    wrote = rng.integers(0, 30, 120)
    pl.DataFrame({"id": [f"a{i}" for i in range(30)], "f": camp + 0.1 * rng.standard_normal(30)}).write_parquet(
        tmp_path / "authors.parquet"
    )
    pl.DataFrame(
        {"id": range(120), "g": rng.standard_normal(120), "label": [["dry", "wet"][camp[a]] for a in wrote]}
    ).write_parquet(tmp_path / "papers.parquet")
    pl.DataFrame({"source": [f"a{i}" for i in wrote], "target": range(120)}).write_parquet(tmp_path / "wrote.parquet")
    return HeteroGraphTable(
        nodes={
            "author": NodeTable(path=str(tmp_path / "authors.parquet")),
            "paper": NodeTable(path=str(tmp_path / "papers.parquet"), label="label"),
        },
        edges=[
            EdgeTable(path=str(tmp_path / "wrote.parquet"), source_type="author", relation="wrote", target_type="paper")
        ],
        target_type="paper",
    )


def test_whole_neighbourhoods_give_the_logits_of_the_whole_graph() -> None:
    torch.manual_seed(0)
    encoder = GraphSAGE(num_features=64, output_size=10, num_layers=2).eval()
    split = RandomNodeSplit(train=0.2, val=0.2)
    sampled = NodeDataModule(graph=DigitsGraph(), split=split, fan_out=[5, 5], eval_batch_size=100)
    whole = NodeDataModule(graph=DigitsGraph(), split=split)
    with torch.no_grad():
        (batch,) = whole.test_dataloader()
        expected = encode(encoder, batch)[batch.target_index]
        batches = list(sampled.test_dataloader())
        found = torch.cat([encode(encoder, part)[part.target_index] for part in batches])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(torch.cat([part.node_id[part.target_index] for part in batches]), batch.target_index)


def test_whole_graph_comes_as_one_object_and_as_often_as_asked() -> None:
    data = karate(steps_per_epoch=3)
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    assert batches[0] is batches[2]
    assert len(list(data.val_dataloader())) == 1
    assert torch.equal(batches[0].target_index, data.indices.train)


def test_every_node_is_predicted_once() -> None:
    data = karate(fan_out=[2], batch_size=10)
    nodes = torch.cat([batch.node_id[batch.target_index] for batch in data.predict_dataloader()])
    assert torch.equal(nodes, torch.arange(34))


def test_training_batches_follow_from_seed_and_epoch() -> None:
    def epochs(seed: int) -> list[Data]:
        seed_everything(seed, verbose=False)
        return list(karate(fan_out=[2, 2], batch_size=4).train_dataloader())

    for first, second in zip(epochs(1), epochs(1), strict=True):
        assert torch.equal(first.node_id, second.node_id)
        assert torch.equal(first.edge_index, second.edge_index)
    assert any(
        not torch.equal(first.node_id, second.node_id) for first, second in zip(epochs(1), epochs(2), strict=True)
    )


def test_workers_sample_what_the_training_process_would() -> None:
    def nodes(num_workers: int) -> list[torch.Tensor]:
        seed_everything(3, verbose=False)
        loader = karate(fan_out=[2, 2], batch_size=4, num_workers=num_workers).train_dataloader()
        return [batch.node_id for batch in loader]

    for first, second in zip(nodes(0), nodes(1), strict=True):
        assert torch.equal(first, second)


def test_sampled_edges_carry_their_weights(tmp_path: Path) -> None:
    pl.DataFrame({"id": range(12), "f": range(12), "label": [0, 1] * 6}).write_parquet(tmp_path / "n.parquet")
    pairs = [(i, j) for i in range(12) for j in range(i)]
    edges = {"source": [i for i, _ in pairs], "target": [j for _, j in pairs], "w": [100 * i + j for i, j in pairs]}
    pl.DataFrame(edges).write_parquet(tmp_path / "e.parquet")
    table = GraphTable(nodes=str(tmp_path / "n.parquet"), edges=str(tmp_path / "e.parquet"), label="label", weight="w")
    data = NodeDataModule(graph=table, split=RandomNodeSplit(), fan_out=[3], batch_size=4)
    for batch in data.train_dataloader():
        ends = batch.node_id[batch.edge_index]
        expected = 100 * ends.max(0).values + ends.min(0).values
        assert torch.equal(batch.edge_weight.long(), expected)


def test_no_batch_sees_what_is_later_than_its_nodes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pl.DataFrame(
        {"id": range(60), "f": rng.random(60), "label": [0, 1] * 30, "day": rng.integers(0, 100, 60)}
    ).write_parquet(tmp_path / "n.parquet")
    ends = rng.integers(0, 60, (2, 400))
    pl.DataFrame({"source": ends[0], "target": ends[1], "day": rng.integers(0, 100, 400)}).write_parquet(
        tmp_path / "e.parquet"
    )
    table = GraphTable(nodes=str(tmp_path / "n.parquet"), edges=str(tmp_path / "e.parquet"), label="label", time="day")
    data = NodeDataModule(graph=table, split=RandomNodeSplit(), fan_out=[4, 4], batch_size=1, temporal=True)
    seen = 0
    for batch in data.predict_dataloader():
        own = int(data.graph.node_time[batch.node_id[0]])
        times = {}
        for source, target, time in zip(*data.graph.edge_index.tolist(), data.graph.edge_time.tolist(), strict=True):
            times.setdefault((source, target), []).append(time)
        for source, target in batch.node_id[batch.edge_index].t().tolist():
            assert min(times[source, target]) <= own
            seen += 1
    assert seen > 50


def test_times_are_asked_for_where_a_graph_has_none() -> None:
    with pytest.raises(ValueError, match="data.temporal: the nodes to classify have no times"):
        karate(fan_out=[2], temporal=True).train_dataloader()


def test_typed_graph_in_whole_and_in_parts(library: HeteroGraphTable) -> None:
    whole = NodeDataModule(graph=library, split=RandomNodeSplit())
    parts = NodeDataModule(graph=library, split=RandomNodeSplit(), fan_out=[3, 3], batch_size=16)
    assert whole.num_features == {"author": 1, "paper": 1}
    assert (whole.num_classes, whole.target_type) == (2, "paper")
    torch.manual_seed(0)
    encoder = HeteroSAGE(
        num_features=whole.num_features, edge_types=whole.edge_types, target_type="paper", output_size=2
    ).eval()
    with torch.no_grad():
        (batch,) = whole.test_dataloader()
        expected = encode(encoder, batch)[batch.target_index]
        found = torch.cat([encode(encoder, part)[part.target_index] for part in parts.test_dataloader()])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_features_are_sparse_where_few_are_not_zero() -> None:
    x = torch.zeros(50, 40)
    x[torch.arange(50), torch.arange(50) % 40] = 3.0
    assert prepare_features(x, normalize="none", sparse=None).layout == torch.sparse_csr
    assert prepare_features(x, normalize="none", sparse=False).layout == torch.strided
    assert prepare_features(torch.ones(5, 4), normalize="none", sparse=None).layout == torch.strided


@pytest.mark.parametrize("sparse", [True, False])
def test_normalised_features_add_up_to_one_and_zero_rows_stay(sparse: bool) -> None:
    x = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.25, 0.25, 0.0]])
    found = prepare_features(x, normalize="rows", sparse=sparse).to_dense()
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0], [0.25, 0.25, 0.0]]))


def test_rows_of_sparse_features_are_those_of_the_dense() -> None:
    torch.manual_seed(0)
    x = torch.randn(20, 9).relu() * (torch.rand(20, 1) > 0.3)
    nodes = torch.tensor([3, 3, 19, 0])
    found = feature_rows(x.to_sparse_csr(), nodes)
    assert found.layout == torch.sparse_csr
    assert torch.equal(found.to_dense(), x[nodes])
    assert feature_rows(x.to_sparse_csr(), nodes[:0]).shape == (0, 9)


def test_prediction_table_names_nodes_and_classes(library: HeteroGraphTable) -> None:
    data = NodeDataModule(graph=library, split=RandomNodeSplit())
    probabilities = torch.tensor([[0.75, 0.25], [0.125, 0.875]])
    table = data.prediction_table({"node_id": torch.tensor([4, 2]), "probabilities": probabilities})
    assert table["label"].to_list() == ["dry", "wet"]
    assert table["probability"].to_list() == [0.75, 0.875]
    assert table.columns == ["node_id", "label", "probability", "probabilities"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0, "fan_out": [2]}, "data.batch_size: 0 given"),
        ({"batch_size": 0}, "data.batch_size: 0 given"),
        ({"steps_per_epoch": 0}, "data.steps_per_epoch: 0 given"),
        ({"eval_fan_out": [3]}, "data.eval_fan_out"),
        ({"fan_out": []}, "data.fan_out: \\[\\] given"),
        ({"temporal": True}, "data.temporal: True given without fan_out"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        karate(**options)


@pytest.mark.parametrize("split", ["train", "val", "predict"])
def test_several_processes_cannot_share_a_whole_graph(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = karate()
    monkeypatch.setattr(data, "_rank_and_world_size", lambda: (0, 2))
    with pytest.raises(ValueError, match="several processes cannot share"):
        getattr(data, f"{split}_dataloader")()


def test_a_whole_graph_is_moved_to_a_device_once_and_stays_where_it_was() -> None:
    data, device = karate(steps_per_epoch=2), torch.device("meta")
    (train,), (val,) = ({id(batch): batch for batch in loader}.values() for loader in (
        data.train_dataloader(), data.val_dataloader()
    ))  # fmt: skip
    moved = [data.transfer_batch_to_device(batch, device, 0) for batch in (train, train, val)]
    assert moved[0] is moved[1]
    assert moved[0].x is moved[2].x
    assert {moved[0].x.device, moved[0].edge_index.device, moved[2].target_index.device} == {device}
    assert {train.x.device, train.edge_index.device} == {torch.device("cpu")}
    assert data.transfer_batch_to_device(train, torch.device("cpu"), 0) is train


def test_sampled_batches_are_not_kept_on_a_device() -> None:
    data, device = karate(fan_out=[2], batch_size=4), torch.device("meta")
    for batch in data.train_dataloader():
        assert data.transfer_batch_to_device(batch, device, 0).x.device == device
        assert batch.x.device == torch.device("cpu")
    assert not data._on_device


def test_one_hop_more_gives_convolutions_the_degrees_of_the_whole_graph() -> None:
    torch.manual_seed(0)
    split = RandomNodeSplit(train=0.2, val=0.2)
    whole = NodeDataModule(graph=DigitsGraph(), split=split)
    sampled = NodeDataModule(
        graph=DigitsGraph(), split=split, fan_out=[5, 5], eval_fan_out=[-1, -1, -1], eval_batch_size=200
    )
    encoder = GCN(num_features=64, output_size=10).eval()
    with torch.no_grad():
        (batch,) = whole.val_dataloader()
        expected = encode(encoder, batch)[batch.target_index]
        found = torch.cat([encode(encoder, part)[part.target_index] for part in sampled.val_dataloader()])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_files_of_the_split_are_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    data = karate()
    monkeypatch.setattr(data.split, "checksums", lambda graph: {"split.npz": "abc"})
    sums = data.fingerprint()["sha256"]
    assert sums["split.npz"] == "abc"
    assert len(sums) == 2


def test_two_models_may_train_on_one_data_module() -> None:
    data = karate()
    (batch,) = data.train_dataloader()
    known = PreparedGraphs()
    for size in (2, 3):
        encoder = GCN(num_features=data.num_features, output_size=size).eval()
        with torch.no_grad():
            for _ in range(2):
                torch.testing.assert_close(encode(encoder, batch, known), encoder(batch.x.to_dense(), batch.edge_index))
