"""Request values: checked, and cast to the dtypes of the ONNX graph."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.signature import MAX_VALUES, TensorSpec

Array: TypeAlias = np.ndarray
Values: TypeAlias = Array | list[Array]
"""An array (N, ...), or one array per row if rows differ in size."""
_EXACT = 2.0**53
"""Largest integer up to which float64 is exact; a larger float may stand for a different integer."""


def check_values(
    values: Mapping[str, Values], inputs: Sequence[TensorSpec], reasons: dict[int, str], *, least_size: int
) -> dict[str, Values]:
    """Casts the values of a request, and finds rows that cannot be answered.

    Args:
        values: Input name to values of any dtype; missing values of a table are NaN.
        inputs: Inputs of the ONNX graph, rows first.
        reasons: Row number to reason. Rows are added that lack a value, have one that is not finite or does not fit the
            dtype, or differ in shape from the input.
        least_size: Smallest size of a dynamic axis.

    Returns:
        Input name to values in the dtype of the input.

    Raises:
        RequestError: The request as a whole does not fit the package.
    """
    counts = {name: len(value) for name, value in values.items()}
    if len(set(counts.values())) > 1:
        raise RequestError(f"request: inputs have different numbers of rows: {counts}")
    checked = {spec.name: _cast(_with_axes(values[spec.name], spec), spec, reasons) for spec in inputs}
    _check_sizes(checked, inputs, least_size, reasons)
    return checked


def _with_axes(values: Values, spec: TensorSpec) -> Values:
    """Adds the missing axes to empty lists, whose depth cannot be inferred."""
    shape = [size if isinstance(size, int) else 0 for size in spec.shape[1:]]
    if 0 not in shape:
        return values
    if isinstance(values, list):
        return [value.reshape(shape) if value.shape[:1] == (0,) else value for value in values]
    is_empty = not len(values) or values.shape[1:2] == (0,)
    return values.reshape([len(values), *shape]) if is_empty else values


def _cast(values: Values, spec: TensorSpec, reasons: dict[int, str]) -> Values:
    if isinstance(values, list):
        return [_cast_array(value[None], spec, reasons, first=row)[0] for row, value in enumerate(values)]
    return _cast_array(values, spec, reasons, first=0)


def _cast_array(values: Array, spec: TensorSpec, reasons: dict[int, str], *, first: int) -> Array:
    dtype = np.dtype(spec.dtype)
    if values.size > MAX_VALUES:
        raise RequestError(f"{spec.name}: {values.size:,} numbers given, at most {MAX_VALUES:,} are allowed")
    kinds = {"f": "fiub", "i": "fiu", "u": "fiu", "b": "b"}[dtype.kind]
    if values.dtype.kind not in kinds and values.size:
        raise RequestError(f"{spec.name}: values of {values.dtype} given, {spec.dtype} needed")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.ascontiguousarray(values, dtype=dtype)
        if dtype.kind == "b" or (dtype.kind in "iu" and not values.size):
            return cast
        fine = np.isfinite(cast) if dtype.kind == "f" else _is_exact(values, cast)
    if not fine.all():
        for row in np.flatnonzero(~fine.reshape(len(fine), -1).all(axis=1)):
            wrong = values[row].ravel()[int(np.argmin(fine[row].ravel()))]
            reason = "a number is missing or not finite" if not np.isfinite(wrong) else f"{wrong} is no {spec.dtype}"
            reasons.setdefault(first + int(row), f"{spec.name}: {reason}")
    if spec.num_values is not None:
        _check_bounds(cast, spec.name, spec.num_values, reasons, first=first)
    return cast


def _is_exact(values: Array, cast: Array) -> Array:
    """Whether each value is unchanged by the cast to an integer dtype."""
    if values.dtype == cast.dtype:
        return np.ones(values.shape, dtype=bool)
    fine: Array = cast.astype(values.dtype) == values
    if values.dtype.kind == "f":
        return fine & (np.abs(values) <= _EXACT)
    # An overflow in both casts can restore the value, but not its sign.
    return fine & ((cast < 0) == (values < 0))


def _check_bounds(cast: Array, name: str, num_values: int, reasons: dict[int, str], *, first: int) -> None:
    """Finds rows with an index outside the model's table; a negative index would silently count from its end."""
    if not cast.size or (cast.min() >= 0 and cast.max() < num_values):
        return
    fine = (cast >= 0) & (cast < num_values)
    for row in np.flatnonzero(~fine.reshape(len(fine), -1).all(axis=1)):
        wrong = cast[row].ravel()[int(np.argmin(fine[row].ravel()))]
        reason = f"{name}: {wrong} given, whole numbers from 0 to {num_values - 1:,} are allowed"
        reasons.setdefault(first + int(row), reason)


def _check_sizes(
    checked: Mapping[str, Values], inputs: Sequence[TensorSpec], least_size: int, reasons: dict[int, str]
) -> None:
    """Checks that fixed axes have their size, and that axes of the same name have the same size within a row."""
    of_all: dict[str, int] = {}
    of_row: dict[int, dict[str, int]] = {}
    for spec in sorted(inputs, key=lambda spec: isinstance(checked[spec.name], list)):
        values, axes = checked[spec.name], spec.shape[1:]
        if isinstance(values, np.ndarray):
            if not _fits(values.shape[1:], axes, least_size, of_all):
                reasons.update(dict.fromkeys(range(len(values)), _misfit(spec, values.shape[1:])))
            continue
        for row, value in enumerate(values):
            sizes = of_row.setdefault(row, dict(of_all))
            if row not in reasons and not _fits(value.shape, axes, least_size, sizes):
                reasons[row] = _misfit(spec, value.shape)


def _fits(shape: Sequence[int], axes: Sequence[int | str], least_size: int, sizes: dict[str, int]) -> bool:
    return len(shape) == len(axes) and all(
        size == axis if isinstance(axis, int) else size == sizes.setdefault(axis, size) and size >= least_size
        for size, axis in zip(shape, axes, strict=True)
    )


def _misfit(spec: TensorSpec, shape: Sequence[int]) -> str:
    return f"{spec.name}: {_sizes(shape)} given, {_sizes(spec.shape[1:])} needed"


def _sizes(shape: Sequence[int | str]) -> str:
    return " x ".join(map(str, shape)) or "a number"
