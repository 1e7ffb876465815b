"""Published sets of graphs."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch_geometric.io import read_tu_data

from datamodules.graph import TUDataset
from tests.conftest import DATA, needs


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
    source = TUDataset(name="PROTEINS")
    fingerprint = source.fingerprint()
    assert (fingerprint["num_graphs"], fingerprint["num_nodes"], fingerprint["num_edges"]) == (1113, 43471, 162088)
    assert fingerprint["num_features"] == 4
    assert torch.bincount(source.read().y).tolist() == [663, 450]
    assert source.notes() == ["1 attribute of nodes is a feature"]


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
        ({"A": "1, b"}, "TOY_A.txt is not a table of 2 columns of numbers"),
        ({"A": ""}, "has no file TOY_A.txt"),
        ({"graph_labels": ""}, "neither graph labels nor graph attributes"),
        ({"graph_indicator": "1\n2\n1\n2\n2"}, "must number its graphs 1 to 3, ascending"),
        ({"node_labels": "1\n2"}, "has 5 nodes, but features of 2"),
    ],
)
def test_a_tu_set_that_cannot_be_right_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tu_set(tmp_path, **files).read()


def test_attributes_are_features_where_there_are_any_and_a_line_says_so(tmp_path: Path) -> None:
    source = tu_set(tmp_path, node_attributes="1, 0\n2, 0\n3, 0\n4, 0\n5, 0")
    assert source.read().x[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert "2 attributes of nodes are features" in source.notes()
    both = tu_set(tmp_path, node_attributes="1\n2\n3\n4\n5", node_labels="0\n0\n1\n0\n1")
    assert both.read().x[1].tolist() == [2, 1, 0]
    without = TUDataset(name="TOY", root=str(tmp_path), use_attributes=False)
    assert without.read().x[1].tolist() == [1, 0]
    assert "attributes of nodes are left out, 1 in all (use_attributes: false)" in without.notes()
    tu_set(tmp_path, node_attributes="1\n2\n3\n4\n5")
    with pytest.raises(ValueError, match="data.graphs.use_attributes: false given, and the nodes of TOY"):
        TUDataset(name="TOY", root=str(tmp_path), use_attributes=False).read()


def test_a_file_that_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tudataset").mkdir()
    (tmp_path / "tudataset" / "TOY.zip").write_text("404")
    with pytest.raises(ValueError, match=r"TOY.zip is not a zip file"):
        TUDataset(name="TOY", root=str(tmp_path)).read()
