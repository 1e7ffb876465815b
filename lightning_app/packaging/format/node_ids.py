"""Node ids of a package: which row of its table of nodes each id of the user's graph is."""

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
"""A column `id`, a row per node in the order of the package's table of nodes."""
_COLUMN = "id"
_DTYPES = ("int64", "text")
_EXACT = 2**53
"""Whole numbers from here on are not all floats."""
_SHOWN = 100


@dataclass(frozen=True)
class NodeIdSpec:
    """What the manifest says of `node_ids.parquet`.

    Attributes:
        inputs: Inputs that are asked by id; the graph takes the numbers of the rows.
        dtype: `int64` or `text`.
        num_nodes: How many ids there are.
    """

    inputs: tuple[str, ...]
    dtype: str
    num_nodes: int


def read_node_id_spec(given: Any) -> NodeIdSpec | None:
    """Checks the manifest's `node_ids` as JSON has it.

    Args:
        given: What was given; None where nodes are asked by number, or there are none.
    """
    if given is None:
        return None
    exact_keys(given, ("inputs", "dtype", "num_nodes"), "node_ids")
    inputs = texts_field(given["inputs"], "node_ids.inputs")
    need(bool(inputs), "node_ids.inputs", "at least one name", given["inputs"])
    count = given["num_nodes"]
    need(is_whole(count) and 1 <= count <= MAX_VALUES, "node_ids.num_nodes", f"1 to {MAX_VALUES:,}", count)
    return NodeIdSpec(inputs=inputs or (), dtype=one_of(given["dtype"], _DTYPES, "node_ids.dtype"), num_nodes=count)


class NodeIds:
    """The ids of all nodes, and the search for some.

    Args:
        ids: Int64 or String (N,), all different, none missing.
    """

    def __init__(self, ids: "pl.Series") -> None:
        self._ids = ids.alias(_COLUMN)

    @classmethod
    def of(cls, names: Array | None) -> "NodeIds | None":
        """The ids of a graph; None where they are the numbers of its nodes.

        Args:
            names: Integers or texts (N,), all different; None where the graph has none.

        Raises:
            UsageError: One is missing, or there twice.
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
        """Checks the bytes of a `node_ids.parquet`.

        Args:
            content: Of the file.
            spec: What the manifest says of it.

        Raises:
            PackageError: It does not hold what the manifest says.
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
            raise PackageError(f"{NODE_IDS}: an id is missing, or stands there twice")
        return cls(ids)

    def to_parquet(self) -> bytes:
        """The bytes of a `node_ids.parquet`."""
        buffer = io.BytesIO()
        self._ids.to_frame().write_parquet(buffer, compression="zstd")
        return buffer.getvalue()

    def spec(self, inputs: tuple[str, ...]) -> NodeIdSpec:
        """What the manifest says of these ids.

        Args:
            inputs: Inputs that are asked by id.
        """
        return NodeIdSpec(inputs=inputs, dtype="int64" if self._is_whole else "text", num_nodes=len(self._ids))

    def names(self, numbers: Array) -> "pl.Series":
        """Ids of nodes.

        Args:
            numbers: int64 (B,).
        """
        return self._ids.gather(numbers)

    def numbers(self, name: str, given: Any, reasons: dict[int, str]) -> Array:
        """Numbers of the nodes that a request names.

        Whole numbers and texts are one id if they are written alike: `7` finds `"7"`, and `"07"` finds no 7.

        Args:
            name: Of the input.
            given: A column, an array or a list of ids.
            reasons: By row, why it cannot be answered; rows are added whose id is missing or unknown.

        Returns:
            int64 (B,), -1 where there is a reason.

        Raises:
            RequestError: These are no ids.
        """
        column = _column(name, given)
        keys = self._keys(column)
        places = np.minimum(self._sorted.search_sorted(keys).to_numpy(), len(self._ids) - 1)
        known = (self._sorted.gather(places) == keys).fill_null(value=False).to_numpy()
        for row in np.flatnonzero(~known).tolist():
            reason = f"{_shown(column[row])} is none of the {len(self._ids):,} ids of the package's nodes"
            reasons.setdefault(row, f"{name}: {'missing' if column[row] is None else reason}")
        return np.where(known, self._order[places], -1)

    def _keys(self, column: "pl.Series") -> "pl.Series":
        """A column in the dtype of the ids; null where it is none of them for sure."""
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


def _column(name: str, given: Any) -> "pl.Series":
    """Ids as whole numbers, numbers with a fraction, or texts (B,)."""
    import polars as pl

    if given is None or isinstance(given, str):
        raise RequestError(f"{name}: {'nothing' if given is None else 'a single text'} given, an id per row needed")
    try:
        column = pl.Series(name, given, nan_to_null=True)
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
