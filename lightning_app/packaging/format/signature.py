"""Package signature: specs of the tensors that a package takes, returns and carries as state."""

from dataclasses import dataclass, fields
from math import prod
from typing import Any

from lightning_app.packaging.format.fields import exact_keys, is_number, is_whole, name_field, need, one_of, texts_field

DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")
MAX_VALUES = 2**28
"""Maximum number of values of one tensor, counting its fixed axes."""
MAX_RANK = 8


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the ONNX graph.

    Attributes:
        name: Name in the graph.
        dtype: One of `DTYPES`.
        shape: Axis sizes; a string names a dynamic axis, `batch` the axis of the rows.
        unit: Unit of the values in words, None if there is none.
        columns: Names along the last axis, or along the one before it if the last axis has quantile levels.
        levels: Quantile levels along the last axis.
        num_values: Integer inputs are in [0, num_values); None allows any integer of the dtype.
        padding: Integer that fills shorter rows, so that rows of different sizes share a call of the graph; None if
            only rows of equal sizes do.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    unit: str | None = None
    columns: tuple[str, ...] | None = None
    levels: tuple[float, ...] | None = None
    num_values: int | None = None
    padding: int | None = None


@dataclass(frozen=True)
class StateSpec:
    """A tensor that a stream carries from chunk to chunk.

    Attributes:
        input: Name of the graph's input.
        output: Name of the graph's output.
        dtype: One of `DTYPES`.
        shape: Axis sizes, `batch` first.
        initial: Fill value of the initial state.
    """

    input: str
    output: str
    dtype: str
    shape: tuple[int | str, ...]
    initial: float


def read_tensor(spec: Any, key: str) -> TensorSpec:
    """Checks a tensor spec of the manifest.

    Args:
        spec: The spec as JSON.
        key: Key of the field, for messages.
    """
    if isinstance(spec, dict):
        spec = {"num_values": None, "padding": None, **spec}  # missing in schema 1, and in 1 to 3
    exact_keys(spec, tuple(field.name for field in fields(TensorSpec)), key)
    shape = _shape(spec["shape"], key)
    columns = texts_field(spec["columns"], f"{key}.columns")
    levels = spec["levels"]
    need(isinstance(spec["unit"], str | None), f"{key}.unit", "text", spec["unit"])
    dtype = one_of(spec["dtype"], DTYPES, f"{key}.dtype")
    bound = spec["num_values"]
    if bound is not None:
        is_bound = is_whole(bound) and bound >= 1 and "int" in dtype
        need(is_bound, f"{key}.num_values", "a whole number from 1, of whole numbers", bound)
    padding = spec["padding"]
    if padding is not None:
        is_padding = is_whole(padding) and "int" in dtype and len(shape) > 1 and isinstance(shape[1], str)
        need(is_padding, f"{key}.padding", "a whole number, of whole numbers whose second axis has a name", padding)
    if columns is not None:
        need(len(set(columns)) == len(columns), f"{key}.columns", "different names", list(columns))
    if levels is not None:
        need(isinstance(levels, list) and all(map(is_number, levels)), f"{key}.levels", "numbers", levels)
        need(all(0 < level < 1 for level in levels), f"{key}.levels", "numbers between 0 and 1", levels)
    along = list(shape)
    for name, names_of_axis in (("levels", levels), ("columns", columns)):
        if names_of_axis is not None:  # levels name the last axis, columns the last axis without levels
            size = along.pop() if along else None
            need(len(names_of_axis) == size, f"{key}.{name}", f"{size} of them, as its axis is", len(names_of_axis))
    return TensorSpec(
        name=name_field(spec["name"], f"{key}.name"),
        dtype=dtype,
        shape=shape,
        unit=spec["unit"],
        columns=columns,
        levels=None if levels is None else tuple(float(level) for level in levels),
        num_values=bound,
        padding=padding,
    )


def read_state(spec: Any, key: str) -> StateSpec:
    """Checks a state spec of the manifest.

    Args:
        spec: The spec as JSON.
        key: Key of the field, for messages.
    """
    exact_keys(spec, tuple(field.name for field in fields(StateSpec)), key)
    need(is_number(spec["initial"]), f"{key}.initial", "a number", spec["initial"])
    return StateSpec(
        input=name_field(spec["input"], f"{key}.input"),
        output=name_field(spec["output"], f"{key}.output"),
        dtype=one_of(spec["dtype"], DTYPES, f"{key}.dtype"),
        shape=_shape(spec["shape"], key),
        initial=float(spec["initial"]),
    )


def _shape(spec: Any, key: str) -> tuple[int | str, ...]:
    need(isinstance(spec, list) and len(spec) <= MAX_RANK, f"{key}.shape", f"a list of up to {MAX_RANK}", spec)
    for size in spec:
        if isinstance(size, str):
            name_field(size, f"{key}.shape")
        else:
            need(is_whole(size) and size >= 1, f"{key}.shape", "sizes from 1, or names", spec)
    values = prod(size for size in spec if isinstance(size, int))
    need(values <= MAX_VALUES, f"{key}.shape", f"at most {MAX_VALUES:,} numbers", values)
    return tuple(spec)
