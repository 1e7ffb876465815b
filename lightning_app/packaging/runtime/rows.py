"""Row layout: runs one row per sample, or per stream with its state, in batches of equal shapes."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import TypeAlias

import numpy as np

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import StateSpec, TensorSpec
from lightning_app.packaging.runtime.values import Array, Values

StreamState: TypeAlias = dict[str, Array]
"""State input name to the state of all streams, (streams, ...)."""
Run: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Runs the ONNX graph: inputs by name to outputs by name."""

VALUES_PER_CALL = 2**20
"""Maximum number of input values per call of the ONNX graph, unless a single row has more."""
_ROWS_PER_CALL = 16_384


class RowLayout:
    """Batches rows of equal shapes, in calls of bounded memory.

    Args:
        manifest: Manifest with signature and state.

    Attributes:
        inputs: Inputs of a row.
        least_size: Smallest size of a dynamic axis.
    """

    least_size = 1

    def __init__(self, manifest: Manifest) -> None:
        self.inputs = manifest.inputs
        self._outputs = manifest.outputs
        self._state = manifest.state

    def check(self, values: Mapping[str, Values], reasons: dict[int, str]) -> None:
        """Does nothing: rows have no constraints beyond the checked shapes and values.

        Args:
            values: Input name to checked values.
            reasons: Row number to reason.
        """

    def answer(
        self, values: Mapping[str, Values], state: StreamState | None, run: Run
    ) -> tuple[dict[str, Values], StreamState]:
        """Predicts rows.

        Args:
            values: Input name to checked values.
            state: State of each row; None takes the initial state.
            run: Runs the ONNX graph.

        Returns:
            answer: Output name to values, rows first.
            state: State after these rows.
        """
        num_rows = len(next(iter(values.values())))
        carried = self.initial(num_rows) if state is None else self._checked(state, num_rows)
        if not num_rows:
            return {spec.name: _empty(spec) for spec in self._outputs}, carried
        if num_rows == 1 and not self._state and all(isinstance(value, np.ndarray) for value in values.values()):
            alone = run(values)  # type: ignore[arg-type]
            _check_count(alone, 1)
            return {spec.name: alone[spec.name] for spec in self._outputs}, carried
        rows_of_calls = list(_calls(values, num_rows))
        outputs = []
        for rows in rows_of_calls:
            feed = {name: _take(value, rows) for name, value in values.items()}
            feed.update((name, array[rows]) for name, array in carried.items())
            answered = run(feed)
            _check_count(answered, len(next(iter(feed.values()))))
            outputs.append(answered)

        def joined(name: str) -> Values:
            return _join([(rows, part[name]) for rows, part in zip(rows_of_calls, outputs, strict=True)], num_rows)

        after: StreamState = {}
        for spec in self._state:
            tensor = joined(spec.output)
            assert isinstance(tensor, np.ndarray)  # states have fixed sizes
            after[spec.input] = tensor
        return {spec.name: joined(spec.name) for spec in self._outputs}, after

    def initial(self, num_rows: int) -> StreamState:
        """State of streams before their first chunk.

        Args:
            num_rows: Number of streams.
        """
        return {spec.input: _full(spec, num_rows) for spec in self._state}

    def _checked(self, state: StreamState, num_rows: int) -> StreamState:
        if set(state) != (needed := {spec.input for spec in self._state}):
            raise RequestError(f"state: {', '.join(sorted(state))} given, {', '.join(sorted(needed))} needed")
        for spec in self._state:
            array, fresh = state[spec.input], _full(spec, num_rows)
            if not isinstance(array, np.ndarray) or array.dtype != fresh.dtype or array.shape != fresh.shape:
                raise RequestError(
                    f"state: {spec.input} is not what the call before returned: {fresh.dtype} of shape "
                    f"{list(fresh.shape)} needed"
                )
        return dict(state)


def _check_count(answered: Mapping[str, Array], num_fed: int) -> None:
    if wrong := [name for name, array in answered.items() if len(array) != num_fed]:
        raise PackageError(f"{wrong[0]}: the graph answers {len(answered[wrong[0]])} rows to {num_fed}")


def _full(spec: StateSpec, num_rows: int) -> Array:
    sizes = [size for size in spec.shape[1:] if isinstance(size, int)]
    return np.full((num_rows, *sizes), spec.initial, dtype=spec.dtype)


def _empty(spec: TensorSpec) -> Array:
    return np.zeros((0, *(size if isinstance(size, int) else 0 for size in spec.shape[1:])), dtype=spec.dtype)


def _calls(values: Mapping[str, Values], num_rows: int) -> Iterator[slice | Array]:
    """Rows of each call: equal in all shapes, and of bounded number."""
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
    """Joins the rows of all calls in their original order; one array if all rows have the same shape."""
    if len(parts) == 1 and isinstance(parts[0][0], slice):
        return parts[0][1]
    first = parts[0][1]
    if all(part.shape[1:] == first.shape[1:] for _, part in parts):
        joined = np.empty((num_rows, *first.shape[1:]), dtype=first.dtype)
        for rows, part in parts:
            joined[rows] = part
        return joined
    ragged: list[Array] = [first] * num_rows
    for rows, part in parts:
        indices = range(num_rows)[rows] if isinstance(rows, slice) else rows
        for index, row in zip(indices, part, strict=True):
            ragged[int(index)] = row
    return ragged
