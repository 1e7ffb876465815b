"""Rows through an ONNX graph: a row per sample, or per stream with its state."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import TypeAlias

import numpy as np

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import StateSpec, TensorSpec
from lightning_app.packaging.runtime.values import Array, Values

State: TypeAlias = dict[str, Array]
"""By name of a state's input, what a stream carries, streams first."""
Run: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]
"""One call of the graph: arrays by name in, arrays by name out."""

VALUES_PER_CALL = 2**20
"""Most numbers that one call of the graph is given, unless a single row has more."""
_ROWS_PER_CALL = 16_384


class RowLayout:
    """Runs rows of equal sizes together, in calls of bounded memory.

    Args:
        manifest: Signature and state.

    Attributes:
        inputs: What a row has.
        least_size: Of axes that differ from row to row.
    """

    least_size = 1

    def __init__(self, manifest: Manifest) -> None:
        self.inputs = manifest.inputs
        self._outputs = manifest.outputs
        self._state = manifest.state

    def check(self, values: Mapping[str, Values], reasons: dict[int, str]) -> None:
        """Nothing but sizes and numbers can be wrong with a row, and those are right.

        Args:
            values: By name of an input, checked.
            reasons: By row, why it cannot be answered.
        """

    def answer(self, values: Mapping[str, Values], state: State | None, run: Run) -> tuple[dict[str, Values], State]:
        """Answers rows.

        Args:
            values: By name of an input, checked.
            state: Of each row; None is the initial one.
            run: Calls the graph.

        Returns:
            answer: By name of an output, rows first.
            state: After it.
        """
        num_rows = len(next(iter(values.values())))
        carried = self._initial(num_rows) if state is None else self._checked(state, num_rows)
        if not num_rows:
            return {spec.name: _empty(spec) for spec in self._outputs}, carried
        rows_of_calls = list(_calls(values, num_rows))
        found = []
        for rows in rows_of_calls:
            feed = {name: _take(value, rows) for name, value in values.items()}
            feed.update((name, array[rows]) for name, array in carried.items())
            answered = run(feed)
            asked = len(next(iter(feed.values())))
            if wrong := [name for name, array in answered.items() if len(array) != asked]:
                raise PackageError(f"{wrong[0]}: the graph answers {len(answered[wrong[0]])} rows to {asked}")
            found.append(answered)

        def joined(name: str) -> Values:
            return _join([(rows, part[name]) for rows, part in zip(rows_of_calls, found, strict=True)], num_rows)

        after: State = {}
        for spec in self._state:
            tensor = joined(spec.output)
            assert isinstance(tensor, np.ndarray)  # its sizes are the same for all rows
            after[spec.input] = tensor
        return {spec.name: joined(spec.name) for spec in self._outputs}, after

    def _initial(self, num_rows: int) -> State:
        return {spec.input: _full(spec, num_rows) for spec in self._state}

    def _checked(self, state: State, num_rows: int) -> State:
        if set(state) != (wanted := {spec.input for spec in self._state}):
            raise RequestError(f"state: {', '.join(sorted(state))} given, {', '.join(sorted(wanted))} needed")
        for spec in self._state:
            array, fresh = state[spec.input], _full(spec, num_rows)
            if not isinstance(array, np.ndarray) or array.dtype != fresh.dtype or array.shape != fresh.shape:
                raise RequestError(
                    f"state: {spec.input} is not what the call before returned: {fresh.dtype} of shape "
                    f"{list(fresh.shape)} needed"
                )
        return dict(state)


def _full(spec: StateSpec, num_rows: int) -> Array:
    sizes = [size for size in spec.shape[1:] if isinstance(size, int)]
    return np.full((num_rows, *sizes), spec.initial, dtype=spec.dtype)


def _empty(spec: TensorSpec) -> Array:
    return np.zeros((0, *(size if isinstance(size, int) else 0 for size in spec.shape[1:])), dtype=spec.dtype)


def _calls(values: Mapping[str, Values], num_rows: int) -> Iterator[slice | Array]:
    """Rows of each call: equal in all their sizes, not too many at once."""
    ragged = [value for value in values.values() if isinstance(value, list)]
    dense = [value for value in values.values() if isinstance(value, np.ndarray)]
    per_row = sum(prod(value.shape[1:]) for value in dense)
    if not ragged:
        step = _step(per_row)
        yield from (slice(start, min(start + step, num_rows)) for start in range(0, num_rows, step))
        return
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for row in range(num_rows):
        groups.setdefault(tuple(value[row].shape for value in ragged), []).append(row)
    for shapes, rows in groups.items():
        step = _step(per_row + sum(map(prod, shapes)))
        yield from (np.array(rows[start : start + step]) for start in range(0, len(rows), step))


def _step(values_per_row: int) -> int:
    return max(1, min(_ROWS_PER_CALL, VALUES_PER_CALL // max(1, values_per_row)))


def _take(value: Values, rows: slice | Array) -> Array:
    if isinstance(value, np.ndarray):
        return value[rows]
    assert isinstance(rows, np.ndarray)
    return np.stack([value[row] for row in rows])


def _join(parts: list[tuple[slice | Array, Array]], num_rows: int) -> Values:
    """The rows of all calls in their order: one array if they are of one size."""
    if len(parts) == 1 and isinstance(parts[0][0], slice):
        return parts[0][1]
    first = parts[0][1]
    if all(part.shape[1:] == first.shape[1:] for _, part in parts):
        joined = np.empty((num_rows, *first.shape[1:]), dtype=first.dtype)
        for rows, part in parts:
            joined[rows] = part
        return joined
    found: list[Array] = [first] * num_rows
    for rows, part in parts:
        places = range(num_rows)[rows] if isinstance(rows, slice) else rows
        for place, row in zip(places, part, strict=True):
            found[int(place)] = row
    return found
