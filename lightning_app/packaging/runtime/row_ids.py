"""Row ids: what a request calls its rows by, and every answer calls them by again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import MAX_VALUES, TensorSpec
from lightning_app.packaging.runtime.labels import LABEL, PROBABILITY

if TYPE_CHECKING:
    import polars as pl

PASSED = ("series", "channel", "time", "origin", "document", "graph_id")
"""Columns that no model reads: where a request has them, its answer has them too."""
NODES = ("node_id", "source", "target")
"""Inputs that come back: nodes of the package's graph."""
_LOOKED_UP = ("node_classification", "link_prediction", "language_model", "puzzle")
"""Tasks whose whole numbers are places in a table: below 0 they would count from its end."""


def node_inputs(manifest: Manifest) -> tuple[str, ...]:
    """Inputs that name nodes of the package's graph, by id or by number.

    Args:
        manifest: Of the package.
    """
    if manifest.node_ids is not None:
        return manifest.node_ids.inputs
    return tuple(
        spec.name
        for spec in manifest.inputs
        if spec.name in NODES and (spec.dtype, spec.shape) == ("int64", ("batch",))
    )


def passed_columns(names: Collection[str], manifest: Manifest, inputs: Sequence[TensorSpec]) -> list[str]:
    """Columns of a request that its answer has too.

    Args:
        names: Columns of the request.
        manifest: Of the package.
        inputs: What a row has.
    """
    used = {spec.name for spec in inputs} | {name for spec in inputs for name in spec.columns or ()}
    used |= {spec.name for spec in manifest.outputs}
    return [name for name in PASSED if name in names and name not in used]


def id_columns(manifest: Manifest) -> set[str]:
    """All columns of an answer that may be ids, not what the model said.

    Args:
        manifest: Of the package.
    """
    outputs = {spec.name for spec in manifest.outputs}
    return ({*PASSED, *node_inputs(manifest)}) - outputs


def answer_columns(manifest: Manifest) -> tuple[str, ...]:
    """Columns that every answer has, in their order: nodes, then what the model says.

    Args:
        manifest: Of the package.
    """
    outputs = tuple(spec.name for spec in manifest.outputs)
    likeliest = (LABEL, PROBABILITY) if manifest.labels is not None else ()
    return (*node_inputs(manifest), *likeliest, *outputs)


def bounded(manifest: Manifest) -> Manifest:
    """A manifest that bounds the whole numbers which are places in a table, also where it was written without.

    Args:
        manifest: Of the package.
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
    """Ids of a dict request.

    Args:
        request: The request.
        names: What is passed on.
        num_rows: Of the request.

    Raises:
        RequestError: There is not one id per row.
    """
    found = {}
    for name in names:
        try:
            ids = np.asarray(request[name])
        except ValueError:
            ids = np.zeros(())
        if ids.ndim != 1 or len(ids) != num_rows:
            raise RequestError(f"{name}: one id per row needed, the request has {num_rows:,} rows")
        found[name] = ids
    return found


def as_array(column: "pl.Series") -> np.ndarray:
    """Ids as an array of numbers or texts, as a dict answer has them."""
    return column.to_numpy() if column.dtype.is_integer() else np.array(column.to_list(), dtype=np.str_)
