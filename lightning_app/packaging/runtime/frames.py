"""Table requests and answers: one row per sample. Polars is imported only if a request is a table."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.values import Array, Values

if TYPE_CHECKING:
    import polars as pl


def as_frame(request: Any) -> "pl.DataFrame | None":
    """Converts a request to a polars DataFrame.

    Args:
        request: Request of a predictor.

    Returns:
        The DataFrame, of polars or any table with the Arrow interface; None if the request is no table.

    Raises:
        RequestError: A column cannot be read.
    """
    polars = sys.modules.get("polars")  # a polars table implies that polars is imported
    if polars is not None and isinstance(request, polars.DataFrame):
        return request
    if isinstance(request, Mapping) or not hasattr(request, "__arrow_c_stream__"):
        return None
    import polars as pl

    try:
        return _of_cells(request) if _has_matrices(request) else pl.DataFrame(request)
    except Exception as error:  # pandas, Arrow and polars have no common exception class
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:500]
        raise RequestError(f"request: a column of the table cannot be read: {why}") from error


def _has_matrices(table: Any) -> bool:
    """Whether a pandas table has cells with arrays of two or more axes, which Arrow cannot convert."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(table, pandas.DataFrame):
        return False
    of_objects = (column for _, column in table.items() if column.dtype.kind == "O")
    firsts = (next((cell for cell in column if cell is not None), None) for column in of_objects)
    return any(isinstance(cell, np.ndarray) and cell.ndim > 1 for cell in firsts)


def _of_cells(table: Any) -> "pl.DataFrame":
    import polars as pl

    plain = {
        str(name): [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in column]
        for name, column in table.items()
    }
    return pl.DataFrame(plain)


def read_frame(frame: "pl.DataFrame", inputs: Sequence[TensorSpec]) -> tuple[dict[str, Values], dict[int, str]]:
    """Reads the values of each input.

    An input is the column of its name: numbers, or lists or arrays nested as deeply as a sample. An input with named
    columns may also be given as those columns.

    Args:
        frame: The table; other columns are ignored.
        inputs: Inputs to read.

    Returns:
        values: Input name to values, rows first; missing numbers are NaN.
        bad: Row number to reason, for lists that are not rectangular.

    Raises:
        RequestError: A column is missing or not numeric.
    """
    values: dict[str, Values] = {}
    bad: dict[int, str] = {}
    for spec in inputs:
        if spec.name in frame.columns:
            values[spec.name] = _read(frame[spec.name], spec, bad)
            continue
        if spec.columns is None or len(spec.shape) != 2:
            raise RequestError(f"{spec.name}: no such column, the table has {_some(frame.columns)}")
        if missing := [name for name in spec.columns if name not in frame.columns]:
            raise RequestError(f"{_some(missing)}: no such column, the table has {_some(frame.columns)}")
        parts = frame.select(spec.columns)
        for name in spec.columns:
            _check_numbers(name, parts[name].dtype, spec)
        arrays = [_numbers(parts[name]) for name in spec.columns]
        stacked = np.empty((len(frame), len(arrays)), dtype=np.result_type(*arrays))
        for column, array in enumerate(arrays):  # faster than np.stack and than DataFrame.to_numpy
            stacked[:, column] = array
        values[spec.name] = stacked
    return values, bad


def write_frame(answer: "Mapping[str, Values | pl.Series]") -> "pl.DataFrame":
    """Builds a table with one column per output: numbers, nested arrays, or lists if rows differ in size.

    Args:
        answer: Output name to values, rows first; polars columns are used as they are.
    """
    import polars as pl

    columns = []
    for name, values in answer.items():
        if isinstance(values, pl.Series):
            columns.append(values.alias(name))
        elif isinstance(values, np.ndarray) or (values and not isinstance(values[0], np.ndarray)):
            columns.append(pl.Series(name, values))
        else:
            columns.append(pl.Series(name, [pl.Series(value) for value in values]))
    return pl.DataFrame(columns)


def _read(series: "pl.Series", spec: TensorSpec, bad: dict[int, str]) -> Values:
    """Reads a column as numbers (N, ...), with the axes of the input after the rows."""
    import polars as pl

    depth = len(spec.shape) - 1
    leaf, levels = series.dtype, 0
    while (inner := getattr(leaf, "inner", None)) is not None:
        leaf, levels = inner, levels + 1
    if leaf == pl.Null and levels < depth:  # all values are missing or empty lists, so the depth is unknown
        dtype: Any = pl.Float64
        for _ in range(depth):
            dtype = pl.List(dtype)
        series, leaf, levels = series.cast(dtype), pl.Float64(), depth
    _check_numbers(series.name, leaf, spec)
    if levels != depth:
        needed = ("numbers", "lists of numbers")[depth] if depth < 2 else f"lists of lists, {depth} deep, of numbers"
        raise RequestError(f"{series.name}: a column of {series.dtype} given, {needed} needed")
    if depth == 0 or (not series.null_count() and _arrays_alone(series.dtype)):
        return _numbers(series)
    sizes = [size for size in spec.shape[1:] if isinstance(size, int)]
    return _read_fixed(series, sizes, bad) if len(sizes) == depth else _read_lists(series, depth, bad)


def _read_fixed(series: "pl.Series", sizes: Sequence[int], bad: dict[int, str]) -> Array:
    """Reads lists of fixed sizes; rows of other sizes become zeros and get a reason in `bad`."""
    import polars as pl

    name, num_rows = series.name, len(series)
    fine = np.ones(num_rows, dtype=bool)
    rows = np.arange(num_rows)  # row of each list at the current level
    for size in sizes:
        series = _as_lists(series)
        lengths = series.list.len().cast(pl.Int64).fill_null(-1).to_numpy()
        wrong = lengths != size
        for row, length in zip(rows[wrong].tolist(), lengths[wrong].tolist(), strict=True):
            bad.setdefault(row, f"{name}: {'none' if length < 0 else length} given, {size} needed")
        fine[rows[wrong]] = False
        kept = fine[rows]
        series = series.filter(kept).explode()
        rows = np.repeat(rows[kept], size)
    content = _numbers(series)
    values = np.zeros((num_rows, *sizes), dtype=content.dtype)
    values[fine] = content.reshape(-1, *sizes)
    return values


def _read_lists(series: "pl.Series", depth: int, bad: dict[int, str]) -> Values:
    """Reads lists of any sizes."""
    name, num_rows = series.name, len(series)
    owners = np.arange(num_rows)  # row of each list at the current level
    levels: list[Array] = []  # lengths of the lists by level
    for _ in range(depth):
        series = _as_lists(series)
        for missing in owners[series.is_null().to_numpy()].tolist():
            bad.setdefault(missing, f"{name}: {'missing' if not levels else 'a list in it is missing'}")
        lengths = series.list.len().fill_null(0).to_numpy()
        levels.append(lengths)
        owners = np.repeat(owners, lengths)
        series = series.filter(lengths > 0).explode()  # explode would turn empty lists into nulls
    flat = _numbers(series)
    if flat.size and all((lengths == lengths[0]).all() for lengths in levels):
        return flat.reshape(num_rows, *(int(lengths[0]) for lengths in levels))
    rows: list[Array] = []
    offsets, start = [0] * depth, 0
    for row in range(num_rows):
        shape, width = [], 1
        for level, lengths in enumerate(levels):
            own = lengths[offsets[level] : offsets[level] + width]
            offsets[level] += width
            if len(own) and (own != own[0]).any():
                bad.setdefault(row, f"{name}: its lists have different lengths")
            shape.append(int(own[0]) if len(own) else 0)
            width = int(own.sum())
        content = flat[start : start + width]
        start += width
        rows.append(np.zeros([0] * depth) if row in bad else content.reshape(shape))
    return rows


def _as_lists(series: "pl.Series") -> "pl.Series":
    import polars as pl

    return series.arr.to_list() if isinstance(series.dtype, pl.Array) else series


def _numbers(series: "pl.Series") -> Array:
    """Converts a column to a numeric array; missing values become NaN."""
    import polars as pl

    plain = series.dtype.is_float() or (series.dtype.is_integer() and series.dtype not in (pl.Int128, pl.UInt128))
    if plain or isinstance(series.dtype, pl.Array) or (series.dtype == pl.Boolean and not series.null_count()):
        return series.to_numpy()
    return series.cast(pl.Float64).to_numpy()


def _arrays_alone(dtype: Any) -> bool:
    import polars as pl

    return not isinstance(dtype, pl.Array) or _arrays_alone(dtype.inner) if not isinstance(dtype, pl.List) else False


def _check_numbers(name: str, dtype: Any, spec: TensorSpec) -> None:
    import polars as pl

    if dtype == pl.Boolean and "int" in spec.dtype:
        raise RequestError(f"{name}: a column of {dtype} given, whole numbers needed")
    if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        raise RequestError(f"{name}: a column of {dtype} given, numbers needed")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
