import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.graph import (
    ErricaFolds,
    FlatGraphs,
    GraphDataModule,
    GraphSplit,
    RandomGraphSplit,
    StratifiedFolds,
    TUDataset,
    XuFolds,
)
from tests.conftest import needs
from tests.graph_sets import InMemory


def graph_set(y: list[int] | torch.Tensor, class_names: list[str] | None = None) -> FlatGraphs:
    """One node per graph."""
    y = torch.as_tensor(y)
    ptr = torch.arange(len(y) + 1)
    return FlatGraphs(
        x=torch.zeros(len(y), 1),
        edge_index=torch.zeros(2, 0, dtype=torch.int64),
        node_ptr=ptr,
        edge_ptr=torch.zeros_like(ptr),
        y=y,
        class_names=class_names,
        source_name="TOY",
    )


CLASSES = graph_set(torch.arange(100).remainder(4).clamp(max=2))  # 25, 25, 50


def test_every_graph_tests_once_over_the_folds_and_classes_are_spread() -> None:
    tested = []
    for index in range(10):
        indices = StratifiedFolds(index=index).split(CLASSES)
        together = np.concatenate([indices.train, indices.val, indices.test])
        assert sorted(together) == list(range(100))
        assert len(indices.val) == 9
        counts = np.bincount(CLASSES.y.numpy()[indices.test], minlength=3)
        assert (np.abs(counts - [2.5, 2.5, 5]) <= 1).all()
        assert (np.abs(np.bincount(CLASSES.y.numpy()[indices.val], minlength=3) - [2.25, 2.25, 4.5]) <= 1).all()
        tested.append(indices.test)
    assert sorted(np.concatenate(tested)) == list(range(100))


def test_folds_depend_on_the_seed_alone() -> None:
    first = StratifiedFolds(index=3).split(CLASSES)
    np.random.seed(7)  # noqa: NPY002
    again = StratifiedFolds(index=3).split(CLASSES)
    assert all(np.array_equal(getattr(first, part), getattr(again, part)) for part in ("train", "val", "test"))
    assert not np.array_equal(first.test, StratifiedFolds(index=3, seed=1).split(CLASSES).test)


def test_the_folds_of_xu_validate_on_the_test_graphs_and_say_so() -> None:
    split = XuFolds(index=2)
    indices = split.split(CLASSES)
    assert np.array_equal(indices.val, indices.test)
    assert not np.isin(indices.test, indices.train).any()
    assert split.name == "xu_10_folds"
    assert "an upper bound, not comparable" in split.describe()


def test_targets_of_regression_get_plain_folds_under_another_name() -> None:
    targets = torch.randn(23, 2)
    targets[4, 1] = float("nan")
    graphs = graph_set(targets)
    split = StratifiedFolds(index=1, num_folds=5)
    indices = split.split(graphs)
    assert 4 not in np.concatenate([indices.train, indices.val, indices.test])
    assert split.name_for(graphs) == "5_folds"
    assert split.name_for(CLASSES) == "stratified_5_folds"
    assert RandomGraphSplit().name_for(graphs) == "random_80_10_10"
    assert RandomGraphSplit().name_for(CLASSES) == "stratified_random_80_10_10"
    assert sum(map(len, vars(RandomGraphSplit(seed=1).split(graphs)).values())) == 22


@pytest.mark.parametrize(
    ("y", "split", "message"),
    [
        ([0] * 30, StratifiedFolds(), "TOY has 30 labelled graphs of fewer than two classes"),
        ([-1] * 3, RandomGraphSplit(), "TOY has 0 labelled graphs of fewer than two classes"),
        ([0, 1, 0], StratifiedFolds(), "3 labelled graphs do not fill 10 folds; give data.split.num_folds a smaller"),
        ([0] * 20 + [1] * 4, XuFolds(), "class 1 has 4 graphs, too few for 10 folds"),
        ([0, 1, 1], RandomGraphSplit(), "leaves no graph for"),
        ([0] * 9 + [1], RandomGraphSplit(train=0.2, val=0.1), "class 1 has no training graph"),
        (torch.zeros(3, 1), StratifiedFolds(), "3 labelled graphs do not fill 10 folds"),
    ],
)
def test_a_set_that_a_protocol_cannot_split_is_refused(y: list[int], split: GraphSplit, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split.split(graph_set(y))


@pytest.mark.parametrize("folds", [StratifiedFolds, XuFolds])
def test_a_fold_that_is_not_there_is_refused(folds: type[StratifiedFolds]) -> None:
    with pytest.raises(ValueError, match=r"data.split.index: 5 given, but there are 5 folds: 0 to 4"):
        folds(index=5, num_folds=5)
    with pytest.raises(ValueError, match=r"data.split.num_folds: 1 given, at least 2"):
        folds(num_folds=1)


def test_a_class_is_called_by_its_name() -> None:
    graphs = graph_set([0] * 20 + [1] * 4, ["mutagen", "harmless"])
    with pytest.raises(ValueError, match="class 'harmless' has 4 graphs"):
        StratifiedFolds().split(graphs)


def published(train: list[int], val: list[int], test: list[int]) -> str:
    return json.dumps([{"test": test, "model_selection": [{"train": train, "validation": val}]}])


def test_published_folds_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "tudataset" / "splits" / "TOY_splits.json"
    path.parent.mkdir(parents=True)
    path.write_text(published([5, 0, 1, 2], [3], [4]))
    graphs = graph_set([0, 1, 0, 1, 0, 1])
    indices = ErricaFolds(root=str(tmp_path)).split(graphs)
    assert [part.tolist() for part in vars(indices).values()] == [[0, 1, 2, 5], [3], [4]]
    assert ErricaFolds(path=str(path)).split(graphs).train.dtype == np.int64
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    data = GraphDataModule(graphs=InMemory(graphs), split=ErricaFolds(path=str(path)))
    assert data.fingerprint()["sha256"] == {"TOY_splits.json": digest}
    with pytest.raises(ValueError, match=r"data.split.index: 1 given, but there are 1 folds"):
        ErricaFolds(index=1, path=str(path)).split(graphs)
    with pytest.raises(FileNotFoundError, match=r"data.split.path: 'tudataset/splits/TOY_splits.json' does not exist"):
        ErricaFolds(root="nowhere").split(graphs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (published([0, 1], [1], [2]), "fold 0 has a graph in two parts"),
        (published([0, 1], [2], [99]), "fold 0 names graph 99, which TOY does not have"),
        ('[{"test": [1]}]', "does not hold published folds"),
        ("404", "does not hold published folds"),
        ("not json", "does not hold published folds"),
    ],
)
def test_folds_of_other_graphs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "folds.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        ErricaFolds(path=str(tmp_path / "folds.json")).split(graph_set([0, 1, 0, 1]))


@needs("tudataset/MUTAG.zip")
def test_mutag_in_ten_folds() -> None:
    graphs = TUDataset(name="MUTAG").read()
    sizes = [len(StratifiedFolds(index=index).split(graphs).test) for index in range(10)]
    assert sum(sizes) == 188
    assert set(sizes) == {18, 19}
