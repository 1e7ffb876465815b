"""The tensors that a package takes, returns and carries."""

from dataclasses import dataclass, fields
from math import prod
from typing import Any

from lightning_app.packaging.format.fields import exact_keys, is_number, is_whole, name_field, need, one_of, texts_field

DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")
MAX_VALUES = 2**28
"""Most numbers of one tensor, where its sizes are known."""
MAX_RANK = 8


@dataclass(frozen=True)
class TensorSpec:
    """One tensor that the ONNX graph takes or returns.

    Attributes:
        name: Its name in the graph.
        dtype: One of `DTYPES`.
        shape: Sizes; text names an axis whose size differs from call to call, `batch` those of the rows.
        unit: Unit of its numbers, in words; None where there is none.
        columns: Names along the last axis, where it has names; along the one before the levels, where it has those.
        levels: Quantile levels along the last axis, where it has levels.
        num_values: Whole numbers of an input are from 0 to below this; None where any that fits the dtype is allowed.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    unit: str | None = None
    columns: tuple[str, ...] | None = None
    levels: tuple[float, ...] | None = None
    num_values: int | None = None


@dataclass(frozen=True)
class StateSpec:
    """One tensor that a stream carries from chunk to chunk.

    Attributes:
        input: Its name as an input of the graph.
        output: Its name as an output.
        dtype: One of `DTYPES`.
        shape: Sizes, `batch` first.
        initial: The number that a fresh state is filled with.
    """

    input: str
    output: str
    dtype: str
    shape: tuple[int | str, ...]
    initial: float


def read_tensor(given: Any, key: str) -> TensorSpec:
    """Checks a tensor as JSON has it.

    Args:
        given: What was given.
        key: How errors call it.
    """
    if isinstance(given, dict):
        given = {"num_values": None, **given}  # which manifests of schema 1 do not have
    exact_keys(given, tuple(field.name for field in fields(TensorSpec)), key)
    shape = _shape(given["shape"], key)
    columns = texts_field(given["columns"], f"{key}.columns")
    levels = given["levels"]
    need(isinstance(given["unit"], str | None), f"{key}.unit", "text", given["unit"])
    dtype = one_of(given["dtype"], DTYPES, f"{key}.dtype")
    bound = given["num_values"]
    if bound is not None:
        is_bound = is_whole(bound) and bound >= 1 and "int" in dtype
        need(is_bound, f"{key}.num_values", "a whole number from 1, of whole numbers", bound)
    if columns is not None:
        need(len(set(columns)) == len(columns), f"{key}.columns", "different names", list(columns))
    if levels is not None:
        need(isinstance(levels, list) and all(map(is_number, levels)), f"{key}.levels", "numbers", levels)
        need(all(0 < level < 1 for level in levels), f"{key}.levels", "numbers between 0 and 1", levels)
    along = list(shape)
    for name, names_of_axis in (("levels", levels), ("columns", columns)):
        if names_of_axis is not None:  # quantile levels are the last axis; columns are the last of what is left
            size = along.pop() if along else None
            need(len(names_of_axis) == size, f"{key}.{name}", f"{size} of them, as its axis is", len(names_of_axis))
    return TensorSpec(
        name=name_field(given["name"], f"{key}.name"),
        dtype=dtype,
        shape=shape,
        unit=given["unit"],
        columns=columns,
        levels=None if levels is None else tuple(float(level) for level in levels),
        num_values=bound,
    )


def read_state(given: Any, key: str) -> StateSpec:
    """Checks a state as JSON has it.

    Args:
        given: What was given.
        key: How errors call it.
    """
    exact_keys(given, tuple(field.name for field in fields(StateSpec)), key)
    need(is_number(given["initial"]), f"{key}.initial", "a number", given["initial"])
    return StateSpec(
        input=name_field(given["input"], f"{key}.input"),
        output=name_field(given["output"], f"{key}.output"),
        dtype=one_of(given["dtype"], DTYPES, f"{key}.dtype"),
        shape=_shape(given["shape"], key),
        initial=float(given["initial"]),
    )


def _shape(given: Any, key: str) -> tuple[int | str, ...]:
    need(isinstance(given, list) and len(given) <= MAX_RANK, f"{key}.shape", f"a list of up to {MAX_RANK}", given)
    for size in given:
        if isinstance(size, str):
            name_field(size, f"{key}.shape")
        else:
            need(is_whole(size) and size >= 1, f"{key}.shape", "sizes from 1, or names", given)
    values = prod(size for size in given if isinstance(size, int))
    need(values <= MAX_VALUES, f"{key}.shape", f"at most {MAX_VALUES:,} numbers", values)
    return tuple(given)
