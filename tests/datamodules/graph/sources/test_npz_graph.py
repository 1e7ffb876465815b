"""Graphs in npz files of sparse tables, some of whose arrays are pickles."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from datamodules.graph import Amazon, ConstantFeature, NodeDataModule, NpzGraph, RandomNodeSplit
from tests.datamodules.graph.sources.test_published_graphs import Touches, write_benchmark

RNG = np.random.default_rng(0)
EDGES = sp.csr_matrix(np.triu(RNG.random((8, 8)) < 0.4, 1).astype(np.float32))
WORDS = sp.csr_matrix(RNG.integers(0, 3, (8, 5)).astype(np.float32))


def test_a_file_as_those_of_amazon_is_read_without_its_pickles(tmp_path: Path) -> None:
    (tmp_path / "npz").mkdir()
    path = tmp_path / "npz" / "amazon_electronics_photo.npz"
    names = np.array([Touches()], dtype=object)
    write_benchmark(path, EDGES, WORDS, node_names=names, class_names=np.array(["a", "b"], dtype=object))
    source = NpzGraph(path="npz/amazon_electronics_photo.npz", root=tmp_path)
    graph = source.read()
    assert torch.equal(graph.x.to_dense(), torch.from_numpy(WORDS.toarray()))
    both = EDGES + EDGES.T
    assert graph.edge_index.T.tolist() == np.argwhere(both.toarray()).tolist()
    assert graph.y.tolist() == [0, 1] * 4
    assert "class_names" not in graph
    assert source.notes() == ["arrays not read: node_names, class_names"]
    assert not Path("opened").exists()
    published = Amazon(name="Photo", root=tmp_path).read()
    assert torch.equal(published.x.to_dense(), (graph.x.to_dense() > 0).float())


def test_the_other_spelling_a_dense_table_weights_and_names_of_classes_are_read(tmp_path: Path) -> None:
    weights = EDGES * 2
    parts = {f"adj_matrix.{part}": getattr(weights, part) for part in ("data", "indices", "indptr", "shape")}
    features = RNG.normal(size=(8, 3))
    np.savez(
        tmp_path / "g.npz", attr_matrix=features, labels=np.arange(8) % 2, class_names=np.array(["a", "b"]), **parts
    )
    graph = NpzGraph(path=tmp_path / "g.npz", weighted=True, directed=True).read()
    assert torch.equal(graph.x, torch.from_numpy(features.astype(np.float32)))
    assert graph.class_names == ["a", "b"]
    assert graph.edge_weight.unique().tolist() == [2]
    assert graph.edge_index.shape[1] == EDGES.nnz
    source = NpzGraph(path=tmp_path / "g.npz")
    source.read()
    assert source.notes() == ["weights of edges are not read; weighted: true takes them"]


def test_edges_alone_are_a_graph_without_features_and_labels(tmp_path: Path) -> None:
    parts = {f"adj_{part}": getattr(EDGES, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez(tmp_path / "g.npz", **parts, labels=np.arange(8) % 2)
    data = NodeDataModule(graph=NpzGraph(path=tmp_path / "g.npz"), split=RandomNodeSplit(), features=ConstantFeature())
    assert data.graph.x.tolist() == [[1.0]] * 8
    np.savez(tmp_path / "g.npz", **parts)
    assert NpzGraph(path=tmp_path / "g.npz").read().y.tolist() == [-1] * 8


def test_labels_that_are_texts_are_the_names_of_their_classes_and_an_empty_one_is_none(tmp_path: Path) -> None:
    parts = {f"adj_{part}": getattr(EDGES, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez(tmp_path / "g.npz", **parts, labels=np.array(["red", "blue", "", "red", "red", "blue", "green", "red"]))
    graph = NpzGraph(path=tmp_path / "g.npz").read()
    assert graph.class_names == ["blue", "green", "red"]
    assert graph.y.tolist() == [2, 0, -1, 2, 2, 0, 1, 2]


def test_what_needs_a_pickle_is_refused_with_a_command_that_converts_the_file(tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    write_benchmark(path, EDGES, WORDS, labels=(np.arange(8) % 2).astype(object))
    with pytest.raises(ValueError, match="array 'labels' is not read: .* never opened. If you trust") as refused:
        NpzGraph(path=path).read()
    assert "\n" not in str(refused.value)
    command = re.findall(r"convert it once: python (-c .*)", str(refused.value))[0]
    subprocess.run([sys.executable, *shlex.split(command)], check=True)
    assert NpzGraph(path=tmp_path / "g_plain.npz").read().y.tolist() == [0, 1] * 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"adj_indices": np.full(EDGES.nnz, 99)}, "adj is not a sparse table"),
        ({"labels": np.arange(7)}, r"labels of shape \(7,\), expected a whole number per node, 8"),
        ({"labels": np.full(8, 0.5)}, "labels of shape"),
        ({"attr_shape": np.array([9, 5])}, "attr is not a sparse table"),
        ({"class_names": np.array(["a"])}, r"class_names of shape \(1,\) for 2 classes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    write_benchmark(tmp_path / "g.npz", EDGES, WORDS, **arrays)
    with pytest.raises(ValueError, match=message):
        NpzGraph(path=tmp_path / "g.npz").read()


def test_a_file_that_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    for content in ((tmp_path / "a.npy").read_bytes(), b"no archive", b""):
        (tmp_path / "g.npz").write_bytes(content)
        with pytest.raises(ValueError, match="g.npz is no npz file"):
            NpzGraph(path=tmp_path / "g.npz").read()
    np.savez(tmp_path / "g.npz", other=np.ones(3))
    with pytest.raises(ValueError, match=r"has no edges: adj_data, .*; it has \['other'\]"):
        NpzGraph(path=tmp_path / "g.npz").read()
    with pytest.raises(FileNotFoundError, match="data.graph.path: 'nowhere.npz' does not exist"):
        NpzGraph(path="nowhere.npz").read()
