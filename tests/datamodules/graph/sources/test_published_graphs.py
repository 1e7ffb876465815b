"""Published graphs for node classification, and their splits."""

import hashlib
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.io import read_npz
from torch_geometric.utils import to_undirected

from datamodules.graph import (
    Amazon,
    Coauthor,
    GeomGCNSplit,
    GivenSplit,
    Heterophilous,
    Planetoid,
    PublicSplit,
    TUDataset,
)
from tests.conftest import CONFIGS, DATA, needs

needs_cora = needs("planetoid/Cora/raw/ind.cora.x")


class Touches:
    """A pickle of this creates a file when it is opened."""

    def __reduce__(self) -> tuple:
        return (os.mkdir, ("opened",))


@pytest.fixture
def benchmark_file(tmp_path: Path) -> Path:
    """A file as those of Shchur et al.: directed edges, a self loop, counts of words, names as Python objects."""
    rng = np.random.default_rng(0)
    adjacency = sp.csr_matrix((rng.random((8, 8)) < 0.3).astype(np.float32))
    words = sp.csr_matrix(rng.integers(0, 3, (8, 5)).astype(np.float32))
    path = tmp_path / "npz" / "amazon_electronics_photo.npz"
    path.parent.mkdir()
    write_benchmark(path, adjacency, words, node_names=np.array([Touches()], dtype=object))
    return path


def write_benchmark(path: Path, adjacency: sp.csr_matrix, words: sp.csr_matrix, **arrays: np.ndarray) -> None:
    tables = {"adj": adjacency, "attr": words}
    parts = {f"{name}_{part}": getattr(table, part) for name, table in tables.items() for part in PARTS}
    np.savez(path, **({**parts, "labels": np.arange(8) % 2} | arrays))


PARTS = ("data", "indices", "indptr", "shape")


def test_a_benchmark_graph_is_read_as_pyg_reads_it_but_sparse(benchmark_file: Path, tmp_path: Path) -> None:
    source = Amazon(name="Photo", root=str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = source.read()
    theirs = read_npz(str(benchmark_file))
    assert data.x.layout == torch.sparse_csr
    assert torch.equal(data.x.to_dense(), theirs.x)
    assert torch.equal(data.edge_index, theirs.edge_index)
    assert torch.equal(data.y, theirs.y)
    digest = hashlib.sha256(benchmark_file.read_bytes()).hexdigest()
    assert source.fingerprint()["sha256"] == {"npz/amazon_electronics_photo.npz": digest}
    assert not (tmp_path / "opened").exists()


@pytest.mark.slow
def test_sparse_features_are_made_without_a_warning() -> None:
    code = (
        "import torch, datamodules.graph; from datamodules.graph.sources.features import prepare_features; "
        "prepare_features(torch.eye(30), normalize='none', sparse=True)"
    )
    # In a process of its own, as torch warns once.
    subprocess.run([sys.executable, "-W", "error:Sparse CSR", "-c", code], check=True, cwd=CONFIGS.parent)


def test_pickled_objects_in_an_npz_file_are_never_opened(benchmark_file: Path, tmp_path: Path) -> None:
    arrays = {"labels": np.array([Touches()] * 8, dtype=object)}
    write_benchmark(benchmark_file, sp.eye(8, format="csr"), sp.eye(8, format="csr"), **arrays)
    with pytest.raises(ValueError, match="Pickled Python objects can run any code, and are never opened"):
        Amazon(name="Photo", root=str(tmp_path)).read()
    assert not (tmp_path / "opened").exists()


def test_a_bare_pickle_in_the_place_of_an_npz_file_is_never_opened(benchmark_file: Path, tmp_path: Path) -> None:
    benchmark_file.write_bytes(pickle.dumps(Touches()))
    with pytest.raises(ValueError, match="is not read"):
        Amazon(name="Photo", root=str(tmp_path)).read()
    assert not (tmp_path / "opened").exists()


def test_an_npz_file_with_indices_out_of_bounds_is_refused(benchmark_file: Path, tmp_path: Path) -> None:
    table = sp.eye(8, format="csr")
    write_benchmark(benchmark_file, table, table, attr_indices=np.arange(8) + 90)
    with pytest.raises(ValueError, match="attr is not a sparse table"):
        Amazon(name="Photo", root=str(tmp_path)).read()


@pytest.mark.parametrize(
    ("source", "address"),
    [
        (Coauthor(name="CS", root="nowhere"), "gnn-benchmark/raw/master/data/npz/ms_academic_cs.npz"),
        (Heterophilous(name="tolokers", root="nowhere"), "heterophilous-graphs/raw/main/data/tolokers.npz"),
        (TUDataset(name="NCI1", root="nowhere"), "chrsmrrs.com/graphkerneldatasets/NCI1.zip"),
    ],
)
def test_a_file_without_known_checksum_is_not_downloaded(source: Coauthor, address: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"knows no checksum of it. Download .*{address} and put it at nowhere"):
        source.read()


@pytest.fixture
def minesweeper(tmp_path: Path) -> Heterophilous:
    rng = np.random.default_rng(0)
    part = rng.integers(0, 3, (10, 40))
    (tmp_path / "heterophilous").mkdir()
    np.savez(
        tmp_path / "heterophilous" / "minesweeper.npz",
        node_features=rng.random((40, 7)).astype(np.float32),
        node_labels=np.arange(40) % 2,
        edges=np.stack([np.arange(39), np.arange(1, 40)], axis=1),
        train_masks=part == 0,
        val_masks=part == 1,
        test_masks=part == 2,
    )
    return Heterophilous(name="minesweeper", root=str(tmp_path))


def test_a_heterophilous_graph_is_undirected_and_has_ten_splits(minesweeper: Heterophilous, tmp_path: Path) -> None:
    data = minesweeper.read()
    steps = torch.stack([torch.arange(39), torch.arange(1, 40)])
    assert torch.equal(data.edge_index, to_undirected(steps))
    raw = np.load(tmp_path / "heterophilous" / "minesweeper.npz")
    for index in (0, 9):
        split = GivenSplit(index=index)
        assert split.name_for(data) == "heterophilous_10_splits"
        indices = split.split(data)
        assert indices.val.tolist() == np.flatnonzero(raw["val_masks"][index]).tolist()
    with pytest.raises(ValueError, match=r"data.split.index: 10 given, but there are 10 splits: 0 to 9"):
        GivenSplit(index=10).split(data)
    with pytest.raises(ValueError, match="the graph came with 10 splits; take GivenSplit"):
        PublicSplit().split(data)


@pytest.mark.parametrize("source", [Amazon, Coauthor, Heterophilous, Planetoid])
def test_an_unknown_name_says_what_is_allowed(source: type[Amazon]) -> None:
    with pytest.raises(ValueError, match="data.graph.name: 'photo' given, allowed are"):
        source(name="photo")


@needs_cora
@pytest.mark.parametrize(
    ("name", "nodes", "features", "edges", "isolated", "train"),
    [("Cora", 2708, 1433, 10556, 0, 140), ("CiteSeer", 3327, 3703, 9104, 48, 120)],
)
def test_the_citation_graphs_and_their_public_split(
    name: str, nodes: int, features: int, edges: int, isolated: int, train: int
) -> None:
    source = Planetoid(name=name)
    data = source.read()
    fingerprint = source.fingerprint()
    assert data.x.shape == (nodes, features)
    assert (fingerprint["num_edges"], fingerprint["num_isolated"]) == (edges, isolated)
    assert len(fingerprint["sha256"]) == 8
    split = PublicSplit()
    assert split.name_for(data) == "planetoid_public"
    indices = split.split(data)
    assert [len(indices.train), len(indices.val), len(indices.test)] == [train, 500, 1000]
    assert torch.bincount(data.y[indices.train]).tolist() == [20] * (train // 20)
    assert not (DATA / "planetoid" / name / "processed").exists()


@needs_cora
def test_a_changed_pickle_is_refused_before_any_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "planetoid" / "Cora" / "raw"
    folder.mkdir(parents=True)
    for file in (DATA / "planetoid" / "Cora" / "raw").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "ind.cora.x").write_bytes(pickle.dumps(Touches()))
    with pytest.raises(ValueError, match="ind.cora.x has sha256 .* but the published file has"):
        Planetoid(name="Cora", root=str(tmp_path)).read()
    assert not (tmp_path / "opened").exists()


@pytest.fixture
def pubmed(tmp_path: Path) -> Path:
    """A small graph in the form of the published files, 60 + 500 + 40 nodes in a circle."""
    folder = tmp_path / "planetoid" / "PubMed" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    words = sp.csr_matrix(rng.random((600, 4)).astype(np.float32))
    classes = np.eye(3, dtype=np.int32)[np.arange(600) % 3]
    parts = {"x": words[:60], "allx": words[:560], "tx": words[560:]}
    parts |= {"y": classes[:60], "ally": classes[:560], "ty": classes[560:]}
    parts["graph"] = {node: [(node + 1) % 600, (node - 1) % 600] for node in range(600)}
    for part, content in parts.items():
        (folder / f"ind.pubmed.{part}").write_bytes(pickle.dumps(content))
    (folder / "ind.pubmed.test.index").write_text("".join(f"{node}\n" for node in range(560, 600)))
    return folder


def pin(folder: Path) -> None:
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in folder.glob("ind.*")]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_pubmed_is_refused_until_the_user_pins_its_files(pubmed: Path, tmp_path: Path) -> None:
    source = Planetoid(name="PubMed", root=str(tmp_path))
    with pytest.raises(ValueError, match=r"SHA256SUMS does not exist.*run `sha256sum ind.pubmed.\* > SHA256SUMS` in"):
        source.read()
    (pubmed / "SHA256SUMS").write_text(f"{'0' * 64}  ind.pubmed.x\n")
    with pytest.raises(ValueError, match="has no line for ind.pubmed.tx"):
        source.read()
    pin(pubmed)
    data = source.read()
    assert data.edge_index.shape == (2, 1200)
    assert len(PublicSplit().split(data).test) == 40
    (pubmed / "ind.pubmed.graph").write_bytes(pickle.dumps(Touches()))
    with pytest.raises(ValueError, match="ind.pubmed.graph has sha256"):
        Planetoid(name="PubMed", root=str(tmp_path)).read()
    assert not (tmp_path / "opened").exists()


def test_geom_gcn_splits_come_from_their_own_files(pubmed: Path, tmp_path: Path) -> None:
    pin(pubmed)
    data = Planetoid(name="PubMed", root=str(tmp_path)).read()
    split = GeomGCNSplit(index=3, root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="geom-gcn/master/splits/pubmed_split_0.6_0.2_3.npz"):
        split.split(data)
    path = tmp_path / "planetoid/PubMed/geom-gcn/raw/pubmed_split_0.6_0.2_3.npz"
    path.parent.mkdir(parents=True)
    part = np.arange(600) % 4  # one in four nodes is in no part
    masks = {f"{name}_mask": (part == index).astype(np.uint8) for index, name in enumerate(("train", "val", "test"))}
    np.savez(path, **masks)
    indices = split.split(data)
    assert indices.test.tolist() == np.flatnonzero(part == 2).tolist()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert split.checksums(data) == {f"planetoid/PubMed/geom-gcn/raw/{path.name}": digest}
    np.savez(path, **{name: mask[1:] for name, mask in masks.items()})
    with pytest.raises(ValueError, match=r"train_mask has shape \(599,\), but PubMed has 600 nodes"):
        split.split(data)
    data.source_name = "digits"
    with pytest.raises(ValueError, match="splits Cora, CiteSeer and PubMed, not digits; take RandomNodeSplit"):
        split.split(data)
    with pytest.raises(ValueError, match="data.split.index: 10 given"):
        GeomGCNSplit(index=10)
