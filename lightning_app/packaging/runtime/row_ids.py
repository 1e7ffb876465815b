"""Row ids: columns of a request that identify its rows, and are copied to the answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import MAX_VALUES, TensorSpec
from lightning_app.packaging.runtime.labels import names_of

if TYPE_CHECKING:
    import polars as pl

PASSED = ("series", "channel", "time", "origin", "document", "graph_id")
"""Columns that are copied from a request to its answer; no model reads them."""
NODES = ("node_id", "source", "target")
"""Inputs that are copied to the answer: nodes of the package's graph."""
_LOOKED_UP = ("node_classification", "link_prediction", "language_model", "puzzle")
"""Tasks whose integer inputs index a table, where a negative index would silently count from its end."""


def node_inputs(manifest: Manifest) -> tuple[str, ...]:
    """Inputs that name nodes of the package's graph, by id or by index.

    Args:
        manifest: Manifest of the package.
    """
    if manifest.node_ids is not None:
        return manifest.node_ids.inputs
    return tuple(
        spec.name
        for spec in manifest.inputs
        if spec.name in NODES and (spec.dtype, spec.shape) == ("int64", ("batch",))
    )


def passed_columns(names: Collection[str], manifest: Manifest, inputs: Sequence[TensorSpec]) -> list[str]:
    """Columns that are copied from a request to its answer.

    Args:
        names: Columns of the request.
        manifest: Manifest of the package.
        inputs: Inputs of a row.
    """
    used = {spec.name for spec in inputs} | {name for spec in inputs for name in spec.columns or ()}
    used |= {spec.name for spec in manifest.outputs}
    return [name for name in PASSED if name in names and name not in used]


def id_columns(manifest: Manifest) -> set[str]:
    """Columns of an answer that may be row ids, not predictions.

    Args:
        manifest: Manifest of the package.
    """
    outputs = {spec.name for spec in manifest.outputs}
    return ({*PASSED, *node_inputs(manifest)}) - outputs


def answer_columns(manifest: Manifest) -> tuple[str, ...]:
    """Columns that every answer has, in order: node ids, then predictions.

    Args:
        manifest: Manifest of the package.
    """
    outputs = tuple(spec.name for spec in manifest.outputs)
    names = (name for decision in manifest.all_decisions for name in names_of(decision))
    return (*node_inputs(manifest), *names, *outputs)


def bounded(manifest: Manifest) -> Manifest:
    """Adds bounds to integer inputs that index a table, for manifests written without them.

    Args:
        manifest: Manifest of the package.
    """
    if manifest.task not in _LOOKED_UP:
        return manifest
    most = MAX_VALUES
    if manifest.task == "language_model" and isinstance(size := manifest.outputs[0].shape[-1], int):
        most = size
    inputs = tuple(
        replace(spec, num_values=most) if spec.num_values is None and spec.dtype in ("int32", "int64") else spec
        for spec in manifest.inputs
    )
    return replace(manifest, inputs=inputs)


def passed_arrays(request: Mapping[str, Any], names: Sequence[str], num_rows: int) -> dict[str, np.ndarray]:
    """Row ids of a dict request.

    Args:
        request: The request.
        names: Names of the ids to copy.
        num_rows: Number of rows in the request.

    Raises:
        RequestError: There is not one id per row.
    """
    arrays = {}
    for name in names:
        try:
            ids = np.asarray(request[name])
        except ValueError:
            ids = np.zeros(())
        if ids.ndim != 1 or len(ids) != num_rows:
            raise RequestError(f"{name}: one id per row needed, the request has {num_rows:,} rows")
        arrays[name] = ids
    return arrays


def as_array(column: "pl.Series") -> np.ndarray:
    """Ids as an array of integers or strings, for dict answers."""
    return column.to_numpy() if column.dtype.is_integer() else np.array(column.to_list(), dtype=np.str_)
