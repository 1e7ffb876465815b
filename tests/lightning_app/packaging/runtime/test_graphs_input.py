"""Packages of whole graphs answer raw tables of nodes and edges: as the run predicts, by the ids of graphs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package, RequestError
from tests.families import TrainedFamily

Tables = dict[str, pl.DataFrame]


@pytest.fixture
def trained(family: Callable[[str], TrainedFamily]) -> TrainedFamily:
    return family("graphs")


@pytest.fixture
def package(trained: TrainedFamily) -> Package:
    return Package.load(trained.package)


@pytest.fixture
def tables(trained: TrainedFamily) -> Tables:
    return {name: pl.read_parquet(trained.folder / f"{name}.parquet") for name in ("nodes", "edges")}


def test_raw_tables_are_answered_as_graphs_are(trained: TrainedFamily, package: Package, tables: Tables) -> None:
    assert package.manifest.parity["raw_rows"]["max_relative_error"] < 1e-5
    answer = package.predict(tables)
    assert answer["graph_id"].to_list() == tables["nodes"]["graph"].unique(maintain_order=True).to_list()
    graph = answer["graph_id"][7]
    nodes, edges = (table.filter(graph=graph) for table in tables.values())
    arrays = {
        "x": [nodes.select("f0", "f1", "f2").to_numpy()],
        "edge_index": [edges.select("source", "target").to_numpy()],
    }
    np.testing.assert_allclose(answer["probabilities"][7], package.predict(arrays)["probabilities"][0], rtol=1e-5)
    mixed = {name: table.sample(fraction=1.0, shuffle=True, seed=1) for name, table in tables.items()}
    again = package.predict(mixed).sort("graph_id")
    np.testing.assert_allclose(again["probabilities"].to_numpy(), answer["probabilities"].to_numpy(), rtol=1e-4)
    for name, table in tables.items():
        table.with_columns(pl.col("graph").map_elements(lambda graph: f"0{graph}", pl.String)).write_csv(f"{name}.csv")
    files = [f"{name}={name}.csv" for name in tables]
    assert main(["score", str(trained.package), *files, "--output", "scored.parquet"]) == 0
    scored = pl.read_parquet("scored.parquet")
    assert scored["graph_id"][0] == f"0{answer['graph_id'][0]}"
    np.testing.assert_allclose(scored["probabilities"].to_numpy(), answer["probabilities"].to_numpy(), rtol=1e-5)


def test_dicts_of_columns_are_tables_too(package: Package, tables: Tables) -> None:
    request = {name: table.to_dict(as_series=False) for name, table in tables.items()}
    assert package.predict(request).equals(package.predict(tables))


def test_a_graph_that_cannot_be_read_is_rejected_and_the_others_are_answered(
    trained: TrainedFamily, package: Package, tables: Tables
) -> None:
    first, second = tables["nodes"]["graph"].unique(maintain_order=True)[:2]
    nodes = tables["nodes"].with_columns(f1=pl.when(pl.col("graph") != first).then("f1"))
    edges = pl.concat([tables["edges"], pl.DataFrame({"graph": [second, 999], "source": [0, 0], "target": [77, 0]})])
    with pytest.raises(BadRowsError, match=f"graph {first}: nodes: column 'f1' holds None"):
        package.predict({"nodes": nodes, "edges": edges})
    nodes.write_parquet("nodes.parquet")
    edges.write_parquet("edges.parquet")
    words = ["nodes=nodes.parquet", "edges=edges.parquet", "--output", "scored.parquet", "--max-rejected", "2"]
    assert main(["score", str(trained.package), *words]) == 0
    assert not set(pl.read_parquet("scored.parquet")["graph_id"]) & {first, second, 999}
    reasons = pl.read_parquet("scored.rejected.parquet")["reason"].to_list()
    assert len(reasons) == 2
    assert "'target' has 77" in reasons[1] or "has '77 of graph 0'" in reasons[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tables: {**tables, "nodes": tables["nodes"].rename({"f1": "F1"})}, "f1: no such column .*'F1' is near"),
        (lambda tables: {"nodes": tables["nodes"]}, "tables nodes given, nodes, edges needed"),
        (lambda tables: {**tables, "graphs": tables["nodes"]}, "tables nodes, edges, graphs given"),
        (lambda tables: tables["nodes"], "one table given, two needed by name"),
        (lambda tables: {**tables, "nodes": tables["nodes"].head(0)}, "nodes: the table has no rows"),
        (lambda tables: {**tables, "nodes": tables["nodes"].with_columns(graph=None)}, "'graph' "),
    ],
)
def test_tables_that_do_not_fit_are_refused_with_the_reason(
    package: Package, tables: Tables, change: Callable[[Tables], object], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        package.predict(change(tables))


def test_files_are_named_by_table(trained: TrainedFamily, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = str(trained.folder / "nodes.parquet")
    assert main(["score", str(trained.package), nodes, "--output", "scored.parquet"]) == 2
    assert "nodes=FILE and edges=FILE needed" in capsys.readouterr().err
    assert main(["score", str(trained.package), f"nodes={nodes}", "--output", "scored.parquet"]) == 2
    assert "no edges=FILE given" in capsys.readouterr().err
    assert not Path("scored.parquet").exists()


def test_what_is_merged_or_left_out_is_said(package: Package, tables: Tables) -> None:
    twice = {**tables, "edges": pl.concat([tables["edges"], tables["edges"].head(1)])}
    with pytest.warns(UserWarning, match="1 rows of edges repeat another one"):
        package.predict(twice)
    orphan = pl.DataFrame({"graph": [999], "source": [0], "target": [0]})
    with pytest.warns(UserWarning, match="1 edges are of graphs without nodes .first: 999"):
        package.predict({**tables, "edges": pl.concat([tables["edges"], orphan])})
