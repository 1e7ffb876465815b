"""Embedded columns: which columns of two samples are compared by an embedding, and their rows of numbers."""

from collections.abc import Sequence

import polars as pl

from lightning_app.drift.columns.nested import inner_type, list_depth
from lightning_app.drift.columns.plan import ColumnPlan
from lightning_app.drift.multivariate.embeddings.graphs import graph_embedding
from lightning_app.drift.multivariate.embeddings.lists import sequence_embedding, vector_embedding
from lightning_app.drift.multivariate.embeddings.named_matrix import NamedMatrix
from lightning_app.drift.multivariate.embeddings.text import text_embedding

_GRAPH = {"x", "edge_index"}


def embedded_columns(
    plans: Sequence[ColumnPlan], before: pl.DataFrame, now: pl.DataFrame
) -> dict[str, NamedMatrix | str]:
    """Rows of numbers of each column of texts, vectors or sequences, and of the graphs.

    Args:
        plans: One plan of each column that both tables have.
        before: Rows of the reference.
        now: Rows of the window.

    Returns:
        By column, rows of both tables, those of the reference first; or why there are none. `x` and `edge_index`
        together are `graph`.
    """
    found: dict[str, NamedMatrix | str] = {}
    kinds = {plan.source: plan.source_kind for plan in plans}
    is_graph = kinds.keys() >= _GRAPH and list_depth(before["edge_index"].dtype) == 2
    if is_graph:
        pooled = _pooled(before, now, "x"), _pooled(before, now, "edge_index")
        found["graph"] = _tried(pooled)
    for name, kind in kinds.items():
        if kind not in ("text", "list", "vector") or (is_graph and name in _GRAPH):
            continue
        series = _pooled(before, now, name)
        if isinstance(series, str):
            found[name] = series
        elif kind == "text":
            found[name] = text_embedding(series)
        elif isinstance(series.dtype, pl.List) and inner_type(series.dtype).is_numeric():
            vectors = vector_embedding(series) if list_depth(series.dtype) == 1 else None
            matrix = vectors if vectors is not None else sequence_embedding(series)
            if len(matrix.names) > 1:  # the test of its one part says it
                found[name] = matrix
    return found


def _tried(pooled: tuple[pl.Series | str, pl.Series | str]) -> NamedMatrix | str:
    x, edge_index = pooled
    if isinstance(x, str) or isinstance(edge_index, str):
        return x if isinstance(x, str) else str(edge_index)
    try:
        return graph_embedding(x, edge_index)
    except ValueError as error:
        return str(error)


def _pooled(before: pl.DataFrame, now: pl.DataFrame, name: str) -> pl.Series | str:
    """Both parts of a column as one type, or why that cannot be."""
    parts = [_as_list(table[name]) for table in (before, now)]
    dtype = next((part.dtype for part in parts if inner_type(part.dtype) != pl.Null), parts[0].dtype)
    try:
        return pl.concat([part.cast(dtype).rename(name) for part in parts])
    except pl.exceptions.PolarsError:
        return f"{parts[0].dtype} in the reference, {parts[1].dtype} in the window"


def _as_list(series: pl.Series) -> pl.Series:
    return series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
