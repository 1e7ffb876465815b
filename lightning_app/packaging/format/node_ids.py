"""Node ids of a package: maps the ids of the user's graph to node indices."""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray as Array

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.fields import exact_keys, is_whole, need, one_of, texts_field
from lightning_app.packaging.format.parquet_table import read_table
from lightning_app.packaging.format.signature import MAX_VALUES

if TYPE_CHECKING:
    import polars as pl

NODE_IDS = "node_ids.parquet"
"""Parquet file with one column `id`: the id of each node, in the order of the node indices."""
_COLUMN = "id"
_DTYPES = ("int64", "text")
_EXACT = 2**53
"""Largest integer up to which float64 is exact."""
_SHOWN = 100


@dataclass(frozen=True)
class NodeIdSpec:
    """Description of `node_ids.parquet` in the manifest.

    Attributes:
        inputs: Inputs whose values are ids in a request; the ONNX graph takes node indices.
        dtype: `int64` or `text`.
        num_nodes: Number of ids.
    """

    inputs: tuple[str, ...]
    dtype: str
    num_nodes: int


def read_node_id_spec(field: Any) -> NodeIdSpec | None:
    """Checks the manifest field `node_ids`.

    Args:
        field: Value of the field; None if requests use node indices, or if there are no nodes.
    """
    if field is None:
        return None
    exact_keys(field, ("inputs", "dtype", "num_nodes"), "node_ids")
    inputs = texts_field(field["inputs"], "node_ids.inputs")
    need(bool(inputs), "node_ids.inputs", "at least one name", field["inputs"])
    count = field["num_nodes"]
    need(is_whole(count) and 1 <= count <= MAX_VALUES, "node_ids.num_nodes", f"1 to {MAX_VALUES:,}", count)
    return NodeIdSpec(inputs=inputs or (), dtype=one_of(field["dtype"], _DTYPES, "node_ids.dtype"), num_nodes=count)


class NodeIds:
    """Ids of all nodes, and the lookup of ids in a request.

    Args:
        ids: Int64 or String (N,), unique, without missing values.
    """

    def __init__(self, ids: "pl.Series") -> None:
        self._ids = ids.alias(_COLUMN)

    @classmethod
    def of(cls, names: Array | None) -> "NodeIds | None":
        """Node ids of a graph.

        Args:
            names: Integers or strings (N,), unique; None if the graph has none.

        Returns:
            The ids, or None if they equal the node indices.

        Raises:
            UsageError: An id is missing or occurs twice.
        """
        import polars as pl

        if names is None:
            return None
        ids = pl.Series(_COLUMN, names)
        if ids.null_count() or ids.n_unique() < len(ids):
            wrong = ids.filter(ids.is_null() | ids.is_duplicated())[0]
            raise UsageError(f"data.graph: {wrong!r} among its node_names; every node needs an id of its own")
        if ids.dtype.is_integer():
            ids = ids.cast(pl.Int64)
            return None if (ids.to_numpy() == np.arange(len(ids))).all() else cls(ids)
        return cls(ids.cast(pl.String))

    @classmethod
    def from_parquet(cls, content: bytes, spec: NodeIdSpec) -> "NodeIds":
        """Parses and checks the content of `node_ids.parquet`.

        Args:
            content: Content of the file.
            spec: Its description in the manifest.

        Raises:
            PackageError: The file does not match the manifest.
        """
        import polars as pl

        dtype = pl.Int64 if spec.dtype == "int64" else pl.String
        table = read_table(content, name=NODE_IDS, most=spec.num_nodes)
        if table.schema != {_COLUMN: dtype}:
            raise PackageError(f"{NODE_IDS}: columns {dict(table.schema)} given, {_COLUMN!r} of {spec.dtype} needed")
        if len(table) != spec.num_nodes:
            raise PackageError(f"{NODE_IDS}: {len(table):,} rows given, the manifest says {spec.num_nodes:,}")
        ids = table[_COLUMN]
        if ids.null_count() or ids.n_unique() < len(ids):
            raise PackageError(f"{NODE_IDS}: an id is missing, or occurs twice")
        return cls(ids)

    def to_parquet(self) -> bytes:
        """Serializes to the content of `node_ids.parquet`."""
        buffer = io.BytesIO()
        self._ids.to_frame().write_parquet(buffer, compression="zstd")
        return buffer.getvalue()

    def spec(self, inputs: tuple[str, ...]) -> NodeIdSpec:
        """Description for the manifest.

        Args:
            inputs: Inputs whose values are ids in a request.
        """
        return NodeIdSpec(inputs=inputs, dtype="int64" if self._is_whole else "text", num_nodes=len(self._ids))

    def names(self, numbers: Array) -> "pl.Series":
        """Ids of nodes.

        Args:
            numbers: Node indices, int64 (B,).
        """
        return self._ids.gather(numbers)

    def numbers(self, name: str, ids: Any, reasons: dict[int, str]) -> Array:
        """Looks up the node indices of ids in a request.

        Integers and strings are the same id if they are written alike: `7` matches `"7"`, but `"07"` does not match 7.

        Args:
            name: Name of the input.
            ids: Column, array or list of ids.
            reasons: Row number to reason; rows with a missing or unknown id are added.

        Returns:
            Node indices, int64 (B,); -1 for rows with a reason.

        Raises:
            RequestError: The values are no ids.
        """
        column = _column(name, ids)
        keys = self._keys(column)
        positions = np.minimum(self._sorted.search_sorted(keys).to_numpy(), len(self._ids) - 1)
        known = (self._sorted.gather(positions) == keys).fill_null(value=False).to_numpy()
        for row in np.flatnonzero(~known).tolist():
            reason = f"{_shown(column[row])} is none of the {len(self._ids):,} ids of the package's nodes"
            reasons.setdefault(row, f"{name}: {'missing' if column[row] is None else reason}")
        return np.where(known, self._order[positions], -1)

    def _keys(self, column: "pl.Series") -> "pl.Series":
        """Casts a column to the dtype of the ids; values that cannot be an id become null."""
        import polars as pl

        if column.dtype.is_float():
            whole = (column == column.floor()) & (column.abs() <= _EXACT)
            column = column.set(~whole.fill_null(value=False), None).cast(pl.Int64)
        if not self._is_whole:
            return column.cast(pl.String)
        if column.dtype.is_integer():
            return column.cast(pl.Int64, strict=False)
        numbers = column.cast(pl.String).cast(pl.Int64, strict=False)
        return numbers.set((numbers.cast(pl.String) != column.cast(pl.String)).fill_null(value=False), None)

    @property
    def _is_whole(self) -> bool:
        return self._ids.dtype.is_integer()

    @cached_property
    def _order(self) -> Array:
        return self._ids.arg_sort().to_numpy().astype(np.int64)

    @cached_property
    def _sorted(self) -> "pl.Series":
        return self._ids.gather(self._order)


def _column(name: str, ids: Any) -> "pl.Series":
    """Ids of a request as a column of integers, floats or strings, (B,)."""
    import polars as pl

    if ids is None or isinstance(ids, str):
        raise RequestError(f"{name}: {'nothing' if ids is None else 'a single text'} given, an id per row needed")
    try:
        column = pl.Series(name, ids, nan_to_null=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0][:200]
        raise RequestError(f"{name}: ids have to be all whole numbers or all texts: {why}") from error
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype in (pl.Categorical, pl.Enum, pl.Null):
        column = column.cast(pl.String)
    if not (column.dtype.is_integer() or column.dtype.is_float() or column.dtype == pl.String):
        raise RequestError(f"{name}: a column of {column.dtype} given, ids are whole numbers or texts")
    return column


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
