"""Answer column types: ragged columns get the same type in every part of a table."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from lightning_app.packaging import Package
from lightning_app.packaging.runtime.graphs import GRAPH_AXES
from lightning_app.packaging.runtime.labels import names_of


def list_types(package: Package) -> dict[str, Any]:
    """Polars types of the answer columns whose rows may differ in size.

    A predictor returns arrays if all rows of a call have the same size and lists if not; a parquet file needs one type.

    Args:
        package: Package that predicts.

    Returns:
        Column name to nested list type.
    """
    manifest = package.manifest
    types: dict[str, Any] = {}
    for spec in manifest.outputs:
        is_packed = manifest.layout == "graphs" and spec.shape[0] not in GRAPH_AXES
        sizes = spec.shape if is_packed else spec.shape[1:]
        leaf = getattr(pl, {"bool": "Boolean", "uint8": "UInt8"}.get(spec.dtype, spec.dtype.capitalize()))
        columns = [(spec.name, leaf, sizes)]
        for decision in manifest.all_decisions:
            if spec.name == decision.output and decision.several:
                types[names_of(decision)[0]] = pl.List(pl.String)
            elif spec.name == decision.output:
                label, probability = names_of(decision)
                columns += [(label, pl.String, sizes[:-1]), (probability, leaf, sizes[:-1])]
        for name, dtype, axes in columns:
            if any(isinstance(size, str) for size in axes):
                for _ in axes:
                    dtype = pl.List(dtype)
                types[name] = dtype
    return types


def with_types(answer: pl.DataFrame, types: Mapping[str, Any]) -> pl.DataFrame:
    """Casts columns of an answer.

    Args:
        answer: Answer of a predictor.
        types: Column name to polars type.
    """
    # Raw rows may be answered in other columns than the outputs of the graph.
    answered = {name: dtype for name, dtype in types.items() if name in answer.schema}
    return answer.with_columns(
        answer[name].cast(dtype) for name, dtype in answered.items() if answer.schema[name] != dtype
    )
