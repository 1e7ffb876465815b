from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from torch_geometric.data import HeteroData

from datamodules.graph import (
    EdgeTable,
    GraphSetTable,
    GraphSource,
    GraphTable,
    HeteroGraphTable,
    LinkDataModule,
    NodeDataModule,
    NodeTable,
    PublicSplit,
    RandomLinkSplit,
    RandomNodeSplit,
    StratifiedFolds,
)

NODES = {"id": ["c", "a", "b", "d"], "age": [1.0, 2.0, 3.0, 4.0], "old": [False, True, True, False]}
NODES |= {"kind": ["cat", "dog", "cat", None], "part": ["train", "train", "val", "test"]}
EDGES = {"source": ["a", "b", "a"], "target": ["b", "c", "b"], "weight": [1.0, 2.0, 0.5]}


@pytest.fixture(params=["csv", "parquet"])
def write(request: pytest.FixtureRequest, tmp_path: Path):
    def write_table(name: str, table: dict | pl.DataFrame) -> str:
        path = tmp_path / f"{name}.{request.param}"
        frame = pl.DataFrame(table)
        frame.write_csv(path) if request.param == "csv" else frame.write_parquet(path)
        return str(path)

    return write_table


def test_a_graph_is_read_from_two_tables(write) -> None:
    source = GraphTable(
        nodes=write("nodes", NODES), edges=write("edges", EDGES), label="kind", weight="weight", split="part"
    )
    data = source.read()
    assert data.x.tolist() == [[1, 0], [2, 1], [3, 1], [4, 0]]
    assert data.y.tolist() == [0, 1, 0, -1]
    assert data.class_names == ["cat", "dog"]
    assert data.node_names.tolist() == ["c", "a", "b", "d"]
    # Two rows from a to b are one edge of weight 1.5, and each edge leads both ways.
    assert data.edge_index.tolist() == [[0, 1, 2, 2], [2, 2, 0, 1]]
    assert data.edge_weight.tolist() == [2, 1.5, 2, 1.5]
    fingerprint = source.fingerprint()
    assert fingerprint["name"] == "nodes"
    assert (fingerprint["num_merged_edges"], fingerprint["num_isolated"], fingerprint["num_unlabelled"]) == (1, 1, 1)
    assert len(fingerprint["sha256"]) == 2
    assert PublicSplit().name_for(data) == "split_column"
    with pytest.raises(ValueError, match="leaves no labelled node for test"):
        PublicSplit().split(data)  # the only one has no label


def test_a_directed_graph_stays_directed(write) -> None:
    nodes, edges = write("nodes", NODES), write("edges", EDGES)
    source = GraphTable(nodes=nodes, edges=edges, label="kind", directed=True, exclude=["part"])
    assert source.read().edge_index.tolist() == [[1, 2], [2, 0]]


@pytest.mark.parametrize("ids", [["7", "07", "x"], ["3", "1", "2"]])
def test_ids_that_look_like_numbers_stay_what_they_are(write, ids: list[str]) -> None:
    nodes = write("nodes", {"id": ids, "f": [1, 2, 3], "y": [0, 1, 0]})
    edges = write("edges", {"source": ids[:2], "target": ids[1:]})
    data = GraphTable(nodes=nodes, edges=edges, label="y", directed=True).read()
    assert data.edge_index.tolist() == [[0, 1], [1, 2]]


def test_numbers_in_one_file_and_texts_in_the_other_are_the_same_ids(tmp_path: Path) -> None:
    pl.DataFrame({"id": [5, 3], "f": [1, 2], "y": [0, 1]}).write_parquet(tmp_path / "nodes.parquet")
    pl.DataFrame({"source": [3], "target": [5]}).write_csv(tmp_path / "edges.csv")
    data = GraphTable(nodes="nodes.parquet", edges="edges.csv", label="y", root=str(tmp_path), directed=True).read()
    assert data.edge_index.tolist() == [[1], [0]]


def test_times_of_nodes_and_edges_are_integers(write) -> None:
    days = [date(2024, 1, 1), date(2024, 1, 2)]
    nodes = write("nodes", {"id": [0, 1], "f": [1, 2], "y": [0, 1], "when": [5, 7]})
    edges = write("edges", {"source": [0, 0], "target": [1, 1], "when": days})
    data = GraphTable(nodes=nodes, edges=edges, label="y", time="when", directed=True).read()
    assert data.x.shape == (2, 1)  # the time is no feature
    assert data.node_time.tolist() == [5, 7]
    assert data.edge_time.diff().tolist() == [24 * 3600 * 10**6]


@pytest.mark.parametrize(
    ("nodes", "edges", "options", "message"),
    [
        ({}, {"target": ["b", "zz", "b"]}, {}, "'target' has 'zz' in (line 3|row 2), which is not among the ids of"),
        ({"id": ["a", "a", "b", "c"]}, {}, {}, "'id' has 'a' more than once"),
        ({"id": ["a", None, "b", "c"]}, {}, {}, "'id' is empty in (line 3|row 2)"),
        ({"age": [1.0, None, 2.0, 3.0]}, {}, {}, "column 'age' holds None in (line 3|row 2)"),
        ({"part": ["train", "dev", "val", "test"]}, {}, {"split": "part"}, "'part' holds 'dev'; allowed are train"),
        ({"kind": [0.5, 1.5, 2.5, 3.5]}, {}, {}, "label 'kind' holds Float64; classes are integers or texts"),
        ({"kind": pl.Series([None] * 4, dtype=pl.String)}, {}, {}, "label 'kind' is empty in every row"),
        ({}, {}, {"label": "species"}, "no column 'species'; it has id, age"),
        ({}, {}, {"features": ["part"]}, "column 'part' holds 'train' in (line 2|row 1)"),
        ({}, {}, {"features": ["size"]}, "no column 'size'"),
        ({}, {}, {"weight": "w"}, "no column 'w'; it has source, target, weight"),
        ({}, {}, {"time": "when"}, "data.graph.time: neither .* nor .* has a column 'when'"),
        ({}, {"weight": [1.0, None, 1.0]}, {"weight": "weight"}, "column 'weight' holds None in (line 3|row 2)"),
        (
            {},
            {},
            {"exclude": []},
            "column 'part' holds 'train' in .*; mend it, or leave .*: data.graph.exclude: .part.",
        ),
        ({"age": ["1", "2", "oops", "4"]}, {}, {}, "column 'age' holds 'oops' in (line 4|row 3), expected a number"),
        ({"age": [1.0, 2.0, 1e300, 4.0]}, {}, {}, r"'age' holds 1e\+300 in (line 4|row 3), more than float32 can hold"),
        ({"age": [None] * 4}, {}, {}, "column 'age' is empty in every row"),
        ({}, {}, {"exclude": ["size"]}, "data.graph.exclude: .* has no column 'size'"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(write, nodes: dict, edges: dict, options: dict, message: str) -> None:
    roles = {"label": "kind"} if "features" in options else {"label": "kind", "exclude": ["part"]}
    options = roles | options
    with pytest.raises(ValueError, match=message):
        GraphTable(nodes=write("nodes", NODES | nodes), edges=write("edges", EDGES | edges), **options).read()


def test_a_table_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'no.csv' does not exist; looked for no.csv and elsewhere/no.csv"):
        GraphTable(nodes="no.csv", edges="no.csv", label="y", root="elsewhere").read()
    (tmp_path / "nodes.txt").write_text("a")
    with pytest.raises(ValueError, match=r"ends with '.txt'; allowed: .csv, .csv.gz, .parquet, .pq"):
        GraphTable(nodes="nodes.txt", edges="nodes.txt", label="y").read()


def test_empty_texts_are_no_labels_and_in_no_split(write) -> None:
    nodes = {"id": ["a", "b", "c"], "x": [0.0, 1.0, 2.0], "kind": ["", "ill", " "], "part": ["train", "", "test"]}
    edges = write("edges", {"source": ["a"], "target": ["b"]})
    graph = GraphTable(nodes=write("nodes", nodes), edges=edges, label="kind", split="part").read()
    assert graph.class_names == ["ill"]
    assert graph.y.tolist() == [-1, 0, -1]
    assert (graph.train_mask.tolist(), graph.test_mask.tolist()) == ([True, False, False], [False, False, True])


def test_negative_labels_are_no_labels(write) -> None:
    nodes = write("nodes", {"id": list(range(20)), "f": [1.0] * 20, "y": [-1, 3, 8, 8] * 5})
    data = GraphTable(nodes=nodes, edges=write("edges", {"source": [0], "target": [1]}), label="y").read()
    assert data.y.tolist() == [-1, 0, 1, 1] * 5
    assert data.class_names == ["3", "8"]
    indices = RandomNodeSplit().split(data)
    assert len(indices.train) + len(indices.val) + len(indices.test) == 15


def test_a_graph_without_labels_has_links_but_no_nodes_to_classify(write) -> None:
    rng = np.random.default_rng(0)
    links = np.argwhere(np.triu(rng.random((20, 20)) < 0.3, 1))
    nodes = write("nodes", {"id": list(range(20)), "f": rng.random(20)})
    source = GraphTable(nodes=nodes, edges=write("edges", {"source": links[:, 0], "target": links[:, 1]}))
    assert source.fingerprint()["num_unlabelled"] == 20
    data = LinkDataModule(graph=source, split=RandomLinkSplit(val=0.1, test=0.1), fan_out=[2], batch_size=4)
    assert (next(iter(data.train_dataloader())).y == -1).all()
    nodes_of_it = NodeDataModule(graph=source, split=RandomNodeSplit())
    with pytest.raises(ValueError, match=r"data.graph: the graph has no labels, .*; give label"):
        nodes_of_it.setup("fit") or nodes_of_it.train_dataloader()


SET_NODES = {"graph": ["g2", "g1", "g2", "g1", "g1"], "id": ["a", "a", "b", "b", "c"], "f": [1.0, 2.0, 3.0, 4.0, 5.0]}
SET_EDGES = {"graph": ["g2", "g1", "g1"], "source": ["a", "c", "b"], "target": ["b", "a", "c"], "w": [1.0, 2.0, 3.0]}


def set_table(write, *, nodes: dict | None = None, edges: dict | None = None, **options) -> GraphSetTable:
    graphs = {"graph": ["g1", "g0", "g2"], "y": ["no", "yes", "yes"], "energy": [0.5, None, 2.0]}
    return GraphSetTable(
        nodes=write("nodes", SET_NODES | (nodes or {})),
        edges=write("edges", SET_EDGES | (edges or {})),
        graphs=write("graphs", graphs),
        **({"label": "y"} | options),
    )


def test_a_set_of_graphs_is_read_from_three_tables(write) -> None:
    graphs = set_table(write, weight="w").read()
    assert graphs.graph_names.tolist() == ["g1", "g0", "g2"]
    assert graphs.y.tolist() == [0, 1, 1]
    assert graphs.class_names == ["no", "yes"]
    assert graphs.node_ptr.tolist() == [0, 3, 3, 5]
    first = graphs.batch(np.array([0]))
    assert first.x.tolist() == [[2], [4], [5]]
    assert first.edge_index.tolist() == [[0, 1, 2, 2], [2, 2, 0, 1]]
    assert first.edge_weight.tolist() == [2, 3, 2, 3]
    assert graphs.batch(np.array([2])).edge_index.tolist() == [[0, 1], [1, 0]]


def test_a_label_with_decimals_is_regression(write) -> None:
    graphs = set_table(write, label="energy", directed=True).read()
    assert graphs.num_classes == 0
    assert graphs.labelled.tolist() == [0, 2]
    assert graphs.edge_index.tolist() == [[2, 1, 0], [0, 2, 1]]
    assert StratifiedFolds(num_folds=2).name_for(graphs) == "2_folds"


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({"graph": ["g2", "g9", "g2", "g1", "g1"]}, {}, "'graph' has 'g9' in (line 3|row 2), which is not among"),
        ({"id": ["a", "b", "b", "b", "c"]}, {}, "'id' has 'b of graph 0' more than once"),
        ({}, {"target": ["c", "a", "c"]}, "'target' has 'c of graph 2' in (line 2|row 1),"),
        ({"f": [1.0, float("inf"), 3.0, 4.0, 5.0]}, {}, "column 'f' holds inf in (line 3|row 2)"),
        ({"y": [0, 0, 1, 1, 1]}, {}, "'y' has the name of the label of the graphs, .*data.graphs.exclude: .y."),
    ],
)
def test_a_set_that_cannot_be_right_is_refused(write, nodes: dict, edges: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        set_table(write, nodes=nodes, edges=edges).read()


@pytest.fixture
def typed(write) -> dict:
    """Arguments of a graph of papers that authors write and that cite each other."""
    papers = write(
        "papers", {"id": [10, 11, 12], "f": [1, 2, 3], "topic": ["x", "y", "x"], "part": ["train", "train", "test"]}
    )
    return {
        "nodes": {
            "paper": NodeTable(path=papers, label="topic", split="part"),
            "author": NodeTable(path=write("authors", {"id": ["u", "v"], "h": [5, 6], "g": [7, 8]})),
        },
        "edges": [
            EdgeTable(
                path=write("writes", {"source": ["u", "v", "v"], "target": [11, 10, 10]}),
                source_type="author",
                relation="writes",
                target_type="paper",
            ),
            EdgeTable(
                path=write("cites", {"source": [10], "target": [12]}),
                source_type="paper",
                relation="cites",
                target_type="paper",
            ),
        ],
        "target_type": "paper",
    }


def test_a_graph_with_types_is_read_from_several_tables(typed: dict) -> None:
    source = HeteroGraphTable(**typed)
    data = source.read()
    assert isinstance(data, HeteroData)
    assert data.target_type == "paper"
    assert data["author"].x.shape == (2, 2)
    assert data["paper"].y.tolist() == [0, 1, 0]
    assert data["author", "writes", "paper"].edge_index.tolist() == [[0, 1], [1, 0]]
    assert data["paper", "rev_writes", "author"].edge_index.tolist() == [[1, 0], [0, 1]]
    assert data["paper", "cites", "paper"].edge_index.tolist() == [[0, 2], [2, 0]]
    fingerprint = source.fingerprint()
    assert fingerprint["edges"]["author writes paper"] == {"num_edges": 2, "num_merged_edges": 1}
    assert fingerprint["nodes"]["paper"]["num_nodes"] == 3
    assert PublicSplit().name_for(data) == "split_column"
    with pytest.raises(ValueError, match="leaves no labelled node for val"):
        PublicSplit().split(data)


def test_a_target_type_needs_no_label(typed: dict) -> None:
    source = HeteroGraphTable(**typed | {"target_type": "author"})
    assert source.read()["author"].y.tolist() == [-1, -1]
    with pytest.raises(ValueError, match="the graph has no labels"):
        RandomNodeSplit().split(source.read())


def test_a_type_that_is_not_there_is_refused(typed: dict) -> None:
    with pytest.raises(ValueError, match="data.graph.target_type: 'venue' is not among nodes: paper, author"):
        HeteroGraphTable(**typed | {"target_type": "venue"})
    only_papers = {"paper": typed["nodes"]["paper"]}
    with pytest.raises(ValueError, match="joins 'author', which is none of"):
        HeteroGraphTable(**typed | {"nodes": only_papers})
    with pytest.raises(ValueError, match="has more than one table; give each its own relation"):
        HeteroGraphTable(**typed | {"edges": typed["edges"] * 2})


def test_sources_are_made_from_a_config(typed: dict, write) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GraphSource, "graph")

    def made(class_name: str, **arguments) -> GraphSource:
        given = {"class_path": f"datamodules.graph.{class_name}", "init_args": arguments}
        return parser.instantiate(parser.parse_object({"graph": given})).graph

    table = made("GraphTable", nodes=write("nodes", NODES), edges=write("edges", EDGES), label="kind", split="part")
    assert table.read().x.shape == (4, 2)
    plain = {"nodes": {kind: vars(table) for kind, table in typed["nodes"].items()}, "target_type": "paper"}
    assert made("HeteroGraphTable", edges=[vars(table) for table in typed["edges"]], **plain).read().num_nodes == 5
    assert made("DigitsGraph", num_neighbors=3).name == "digits_3_neighbors"


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5), min_size=4, max_size=4, unique=True)
    | st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=4, max_size=4, unique=True),
    data=st.data(),
)
def test_the_order_of_rows_changes_no_graph(ids: list, data: st.DataObject, tmp_path: Path) -> None:
    nodes = pl.DataFrame(NODES).with_columns(id=pl.Series(ids))
    edges = pl.DataFrame({"source": [ids[1], ids[2], ids[3]], "target": [ids[2], ids[0], ids[1]]})
    found = []
    for order, edge_order in ((range(4), range(3)), (data.draw(st.permutations(range(4))), [2, 0, 1])):
        nodes[list(order)].write_parquet(tmp_path / "nodes.parquet")
        edges[list(edge_order)].write_parquet(tmp_path / "edges.parquet")
        paths = {"nodes": str(tmp_path / "nodes.parquet"), "edges": str(tmp_path / "edges.parquet")}
        graph = GraphTable(**paths, label="kind", exclude=["part"]).read()
        names = graph.node_names.tolist()
        described = dict(zip(names, zip(graph.x.tolist(), graph.y.tolist(), strict=True), strict=True))
        found.append((described, {(names[a], names[b]) for a, b in graph.edge_index.T.tolist()}))
    assert found[0] == found[1]
    assert set(found[0][0]) == set(ids)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0, 2.0, 3.0, 4.0], "'id' holds Float64; ids are whole numbers or texts"),
        ([True, False, None, None], "'id' holds Boolean"),
        (pl.Series([1, 2, 3, 2**64 - 1], dtype=pl.UInt64), "'id' has 18446744073709551615 in row 4"),
        (["a", "b\0", "c", "d"], "a NUL character in row 2"),
        (["a", None, "c", "d"], "'id' is empty in row 2"),
        ([7, 3, 7, 1], "has 7 more than once"),
    ],
)
def test_what_is_no_id_is_refused_with_its_row(ids: list | pl.Series, message: str) -> None:
    pl.DataFrame(NODES).with_columns(id=pl.Series(ids)).write_parquet("nodes.parquet")
    pl.DataFrame({"source": [1], "target": [2]}).write_parquet("edges.parquet")
    with pytest.raises(ValueError, match=message):
        GraphTable(nodes="nodes.parquet", edges="edges.parquet", exclude=["kind", "part"]).read()
