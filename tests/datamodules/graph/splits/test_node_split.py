import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from datamodules.graph import GivenSplit, LuoSplit, PublicSplit, RandomNodeSplit, ShchurSplit
from datamodules.graph.splits.node_split import NodeSplit


def graph(y: list[int] | torch.Tensor, **fields) -> Data:
    y = torch.as_tensor(y)
    return Data(x=torch.zeros(len(y), 1), edge_index=torch.zeros(2, 0, dtype=torch.int64), y=y, **fields)


def masks(text: str) -> dict[str, torch.Tensor]:
    """Masks of a text such as `tv.te`: a letter per node, `b` is in train and test."""
    letters = np.array(list(text))
    return {
        "train_mask": torch.from_numpy(np.isin(letters, ["t", "b"])),
        "val_mask": torch.from_numpy(letters == "v"),
        "test_mask": torch.from_numpy(np.isin(letters, ["e", "b"])),
    }


@given(
    labels=st.lists(st.integers(-1, 2), min_size=30, max_size=120),
    shares=st.sampled_from([(0.6, 0.2), (0.5, 0.25), (0.1, 0.1), (0.8, 0.1)]),
    seed=st.integers(0, 3),
)
def test_shares_are_right_of_every_class_and_of_labelled_nodes_only(
    labels: list[int], shares: tuple[float, float], seed: int
) -> None:
    data = graph(labels)
    counts = np.bincount([label for label in labels if label >= 0], minlength=3)
    if counts.min() < 10:
        return
    indices = RandomNodeSplit(train=shares[0], val=shares[1], seed=seed).split(data)
    together = torch.cat([indices.train, indices.val, indices.test])
    assert sorted(together.tolist()) == [node for node, label in enumerate(labels) if label >= 0]
    for nodes, share in ((indices.train, shares[0]), (indices.val, shares[1])):
        assert abs(len(nodes) - share * counts.sum()) <= 1
        drawn = np.bincount(data.y[nodes].numpy(), minlength=3)
        assert np.abs(drawn - share * counts).max() <= 2


def test_shares_depend_on_the_seed_alone() -> None:
    data = graph(torch.arange(100) % 4)
    torch.manual_seed(0)
    first = RandomNodeSplit(seed=1).split(data)
    torch.manual_seed(1)
    assert torch.equal(first.train, RandomNodeSplit(seed=1).split(data).train)
    assert not torch.equal(first.train, RandomNodeSplit(seed=2).split(data).train)


def test_protocols_say_what_they_are() -> None:
    assert RandomNodeSplit().name == "random_60_20_20"
    assert RandomNodeSplit(train=0.48, val=0.32).name_for(graph([0])) == "random_48_32_20"
    assert RandomNodeSplit(train=0.015, val=0.2).name == "random_1.5_20_78.5"
    assert "60/20/20 %" in RandomNodeSplit().describe()
    assert LuoSplit().name == "luo_random"
    assert "seed 123" in LuoSplit().describe()
    assert PublicSplit().name_for(graph([0])) == "public"
    assert PublicSplit().name_for(graph([0], split_name="planetoid_public")) == "planetoid_public"


@pytest.mark.parametrize(("train", "val"), [(0.8, 0.2), (0.0, 0.5), (0.9, 0.3), (0.5, -0.1)])
def test_shares_that_leave_nothing_are_refused(train: float, val: float) -> None:
    with pytest.raises(ValueError, match="data.split: train .* and val .* leave .* for test"):
        RandomNodeSplit(train=train, val=val)


def test_nodes_without_label_are_in_no_part_whatever_the_masks_say() -> None:
    indices = PublicSplit().split(graph([0, 1, -1, 0, -1, 1], **masks("ttvvee")))
    assert [indices.train.tolist(), indices.val.tolist(), indices.test.tolist()] == [[0, 1], [3], [5]]
    assert indices.train.dtype == torch.int64


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        (graph([0, 1, 0, 1]), PublicSplit(), "came without train_mask, val_mask, test_mask; take RandomNodeSplit"),
        (graph([0, 1, 0, 1], **masks("ttve")), GivenSplit(), "came with a single split; take PublicSplit"),
        (graph([0, 1, 0, 1], **masks("tbve")), PublicSplit(), "node 1 is in both train and test"),
        (graph([0, 1, 0, 1], **masks("tt.e")), PublicSplit(), "leaves no labelled node for val"),
        (graph([0, 0, 0, 1], **masks("ttve")), PublicSplit(), "class 1 has no training node; label more"),
        (graph([0, 0, 0, 1], class_names=["a", "b"], **masks("ttve")), PublicSplit(), "class 'b' has no training node"),
        (graph([0, 1]), RandomNodeSplit(), "leaves no labelled node for"),
        (graph([-1, -1]), RandomNodeSplit(), "the graph has no labels, .*; give label"),
        (graph([0] * 1600 + [1] * 19), LuoSplit(), "class 1 has 19 nodes, LuoSplit needs 20 of each"),
        (graph([0] * 60 + [1] * 50), ShchurSplit(), "class 1 has 50 nodes, ShchurSplit needs 51 of each class"),
        (graph(torch.arange(1500) % 2), LuoSplit(), "needs 1,500 labelled nodes besides .* there are 1460"),
    ],
)
def test_a_graph_that_a_protocol_cannot_split_is_refused(data: Data, split: NodeSplit, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split.split(data)


def test_the_split_of_luo_draws_20_per_class_then_500_and_1000() -> None:
    y = torch.arange(2000) % 3
    y[::10] = -1
    data = graph(y)
    indices = LuoSplit().split(data)
    assert torch.bincount(y[indices.train]).tolist() == [20, 20, 20]
    assert (len(indices.val), len(indices.test)) == (500, 1000)
    assert (y[torch.cat([indices.val, indices.test])] >= 0).all()
    torch.manual_seed(5)
    assert torch.equal(indices.test, LuoSplit().split(data).test)
    assert not torch.equal(indices.test, LuoSplit(seed=124).split(data).test)


def test_the_split_of_shchur_draws_20_and_30_per_class_and_tests_on_all_others() -> None:
    y = torch.arange(1000) % 3
    y[::10] = -1
    data = graph(y)
    split = ShchurSplit(seed=3)
    indices = split.split(data)
    assert torch.bincount(y[indices.train]).tolist() == [20, 20, 20]
    assert torch.bincount(y[indices.val]).tolist() == [30, 30, 30]
    together = torch.cat([indices.train, indices.val, indices.test])
    assert torch.equal(together.sort().values, (y >= 0).nonzero()[:, 0])
    torch.manual_seed(5)
    assert torch.equal(indices.train, ShchurSplit(seed=3).split(data).train)
    assert not torch.equal(indices.train, ShchurSplit(seed=4).split(data).train)
    assert (split.name, ShchurSplit(train=5, val=5).name) == ("shchur_20_30", "shchur_5_5")
    with pytest.raises(ValueError, match="train 0 and val 30 given"):
        ShchurSplit(train=0)
