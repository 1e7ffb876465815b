import hashlib
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.io import read_npz, read_tu_data
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
from tests.conftest import DATA, needs

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
    with pytest.raises(ValueError, match="attr is no sparse table"):
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
    with pytest.raises(ValueError, match="splits Cora, CiteSeer and PubMed, not digits; take ShareSplit"):
        split.split(data)
    with pytest.raises(ValueError, match="data.split.index: 10 given"):
        GeomGCNSplit(index=10)


def check_against_pyg(source: TUDataset, archive: Path, folder: Path, *, use_attributes: bool) -> None:
    graphs = source.read()
    with zipfile.ZipFile(archive) as files:
        for entry in files.namelist():
            (folder / Path(entry).name).write_bytes(files.read(entry))
    theirs, slices, sizes = read_tu_data(str(folder), source.name)
    skipped = (0, 0) if use_attributes else (sizes["num_node_attributes"], sizes["num_edge_attributes"])
    assert torch.equal(graphs.x, theirs.x[:, skipped[0] :])
    assert torch.equal(graphs.edge_index, theirs.edge_index)
    assert torch.equal(graphs.edge_attr, theirs.edge_attr[:, skipped[1] :])
    assert torch.equal(graphs.y, theirs.y)
    assert torch.equal(graphs.node_ptr, slices["x"])
    assert torch.equal(graphs.edge_ptr, slices["edge_index"])


@needs("tudataset/MUTAG.zip")
def test_mutag_is_read_as_pyg_reads_it(tmp_path: Path) -> None:
    check_against_pyg(TUDataset(name="MUTAG"), DATA / "tudataset" / "MUTAG.zip", tmp_path, use_attributes=False)


@pytest.mark.parametrize("use_attributes", [False, True])
def test_attributes_labels_loops_and_repeated_edges_are_read_as_pyg_reads_them(
    tmp_path: Path, use_attributes: bool
) -> None:
    tu_set(
        tmp_path,
        graph_labels="7\n-2\n",
        A="1, 2\n2, 1\n2, 3\n3, 2\n3, 1\n1, 3\n1, 1\n1, 2\n4, 5\n5, 4\n",  # PyG drops a line that does not end
        graph_indicator="1\n1\n1\n2\n2\n",
        node_labels="4, 1\n2, 0\n2, 1\n4, 3\n4, 0\n",
        node_attributes="0.5, -1e-3\n1, 2\n3, 4\n5, 6\n7, 8\n",
        edge_labels="".join(f"{label}\n" for label in (1, 1, 2, 2, 1, 1, 5, 2, 1, 1)),
        edge_attributes="".join(f"{value / 8}\n" for value in range(10)),
    )
    source = TUDataset(name="TOY", root=str(tmp_path), use_attributes=use_attributes)
    check_against_pyg(source, tmp_path / "tudataset" / "TOY.zip", tmp_path, use_attributes=use_attributes)


@needs("tudataset/PROTEINS.zip")
def test_proteins_has_1113_graphs_with_three_labels_and_one_attribute() -> None:
    source = TUDataset(name="PROTEINS", use_attributes=True)
    fingerprint = source.fingerprint()
    assert (fingerprint["num_graphs"], fingerprint["num_nodes"], fingerprint["num_edges"]) == (1113, 43471, 162088)
    assert fingerprint["num_features"] == 4
    assert torch.bincount(source.read().y).tolist() == [663, 450]


@needs("tudataset/MUTAG.zip")
def test_a_changed_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tudataset").mkdir()
    (tmp_path / "tudataset" / "MUTAG.zip").write_bytes((DATA / "tudataset" / "MUTAG.zip").read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"MUTAG.zip has sha256"):
        TUDataset(name="MUTAG", root=str(tmp_path)).read()


def tu_set(tmp_path: Path, folder: str = "", **files: str) -> TUDataset:
    """Two graphs, a triangle with a self loop and an edge listed twice, and a pair; then one without nodes."""
    texts = {
        "A": "1, 2\n2, 1\n2, 3\n3, 2\n3, 1\n1, 3\n1, 1\n1, 2\n4, 5\n5, 4",
        "graph_indicator": "1\n1\n1\n2\n2",
        "graph_labels": "-1\n1\n1",
    } | files
    (tmp_path / "tudataset").mkdir(exist_ok=True)
    with zipfile.ZipFile(tmp_path / "tudataset" / "TOY.zip", "w") as archive:
        archive.writestr(f"{folder}README.txt", "not a table")
        for part, text in texts.items():
            if text:
                archive.writestr(f"{folder}TOY_{part}.txt", text)
    return TUDataset(name="TOY", root=str(tmp_path))


@pytest.mark.parametrize("folder", ["", "TOY/", "TOY//"])
def test_degrees_are_the_features_where_a_tu_set_has_none(tmp_path: Path, folder: str) -> None:
    source = tu_set(tmp_path, folder)
    graphs = source.read()
    assert graphs.x.argmax(1).tolist() == [2, 2, 2, 1, 1]
    assert graphs.node_ptr.tolist() == [0, 3, 5, 5]
    assert graphs.edge_index[:, graphs.edge_ptr[1] :].tolist() == [[0, 1], [1, 0]]
    assert graphs.y.tolist() == [0, 1, 1]
    assert graphs.class_names == ["-1", "1"]
    fingerprint = source.fingerprint()
    assert (fingerprint["num_merged_edges"], fingerprint["num_empty_graphs"]) == (1, 1)
    capped = TUDataset(name="TOY", root=str(tmp_path), max_degree=1).read()
    assert capped.x.argmax(1).tolist() == [1, 1, 1, 1, 1]


def test_targets_of_regression_are_floats(tmp_path: Path) -> None:
    graphs = tu_set(tmp_path, graph_attributes="0.5, 1\n1.5, 2\n2, -1").read()
    assert graphs.num_classes == 0
    assert graphs.y.tolist() == [[0.5, 1], [1.5, 2], [2, -1]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"A": "1, 4"}, "edge 0 joins two graphs"),
        ({"A": "1, 9"}, "edge 0 joins nodes 0 and 8, but there are 5 nodes"),
        ({"A": "1, b"}, "TOY_A.txt is no table of 2 columns of numbers"),
        ({"A": ""}, "has no file TOY_A.txt"),
        ({"graph_labels": ""}, "neither graph labels nor graph attributes"),
        ({"graph_indicator": "1\n2\n1\n2\n2"}, "must number its graphs 1 to 3, ascending"),
        ({"node_labels": "1\n2"}, "has 5 nodes, but features of 2"),
        ({"node_attributes": "1\n2\n3\n4\n5"}, "data.graphs.use_attributes: the nodes of TOY have attributes but no"),
    ],
)
def test_a_tu_set_that_cannot_be_right_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tu_set(tmp_path, **files).read()


def test_a_file_that_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tudataset").mkdir()
    (tmp_path / "tudataset" / "TOY.zip").write_text("404")
    with pytest.raises(ValueError, match=r"TOY.zip is no zip file"):
        TUDataset(name="TOY", root=str(tmp_path)).read()
