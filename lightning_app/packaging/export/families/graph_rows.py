"""Monitored rows of graph predictors with raw tables: a row is the request for one graph, its tables are lists."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from datamodules.graph import GraphDataModule
from datamodules.graph.sources.source import RawGraphs
from lightning_app.packaging.export.batches import Arrays
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.input_rows import Place, ShuffledInputs, named_answers, outcome_of
from lightning_app.packaging.monitored.lists import listed
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor

_IDS = "ids of graphs and nodes"


def graph_rows(predictor: Predictor, held_out: HeldOutRows, *, data: GraphDataModule, raw: RawGraphs) -> MonitoredRows:
    """A row per graph: its nodes as `nodes.COLUMN`, its edges as `edges.COLUMN`, and the one row of its answer.

    Args:
        predictor: Of the package.
        held_out: Graphs, by their numbers.
        data: Where the graphs come from.
        raw: Its tables.
    """
    spec = raw.spec
    assert spec.graph is not None
    ids = pl.Series("graph_id", data.ids_of(held_out.rows))
    named = _Answers(predictor, data)
    places: dict[str, Place] = {f"nodes.{name}": ("x", place) for place, name in enumerate(spec.features)}
    if spec.weight is not None:
        places[f"edges.{spec.weight}"] = ("edge_weight", None)
    ids_of_nodes = (f"nodes.{spec.graph}", f"nodes.{spec.id}", f"edges.{spec.graph}")
    nodes = _of_graphs(raw.nodes.select(spec.node_columns), spec.graph, ids, prefix="nodes.")
    ends = [pl.col(name).cast(pl.String) for name in (spec.source, spec.target)]  # ids, of which only the number counts
    table = raw.edges.select(spec.edge_columns).with_columns(ends)
    edges = _of_graphs(table, spec.graph, ids, prefix="edges.")
    return MonitoredRows(
        requests=nodes.hstack(edges.get_columns()),
        answers=named(held_out.answer, held_out.rows),
        outcome=outcome_of(held_out.targets),
        shuffled=tuple(places),
        ask_changed=ShuffledInputs(predictor, held_out, places, named),
        left_out=dict.fromkeys(ids_of_nodes, _IDS),
    )


@dataclass(frozen=True)
class _Answers:
    """Answers as the package gives them to tables: a list of one, as the rows of tables are others than graphs.

    Attributes:
        predictor: Of the package.
        data: Where the graphs come from.
    """

    predictor: Predictor
    data: GraphDataModule

    def __call__(self, answer: Arrays, rows: np.ndarray) -> pl.DataFrame:
        ids = pl.Series("graph_id", self.data.ids_of(rows))
        table = pl.DataFrame([ids, *named_answers(self.predictor, answer)])
        return as_journalled(listed(table, np.ones(len(rows), dtype=np.int64)))


def _of_graphs(table: pl.DataFrame, column: str, ids: pl.Series, *, prefix: str) -> pl.DataFrame:
    """The rows of each graph as lists, empty where it has none."""
    keys = table[column].cast(pl.String).alias("key")
    groups = keys.to_frame().with_row_index("place").group_by("key", maintain_order=True).agg("place")
    wanted = pl.DataFrame({"key": ids.cast(pl.String)}).join(groups, on="key", how="left", maintain_order="left")
    counts = wanted["place"].list.len().fill_null(0).to_numpy().astype(np.int64)
    places = wanted["place"].drop_nulls().explode() if counts.sum() else pl.Series([], dtype=pl.UInt32)
    lists = as_journalled(listed(table[places.to_numpy()], counts))
    return lists.rename({name: prefix + name for name in lists.columns})
