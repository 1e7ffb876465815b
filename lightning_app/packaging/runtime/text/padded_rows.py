"""Padded layout: rows of different sizes, such as the tokens of texts, in calls of similar sizes and bounded memory."""

from collections.abc import Iterator, Mapping

import numpy as np

from features.text.token_rows import pad_rows
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.rows import Run, StreamState
from lightning_app.packaging.runtime.values import Array, Values

TOKENS_PER_CALL = 1024
"""Most places of a call, padding included, unless a single row has more: what a network
keeps of each is large, and a call whose numbers stay in the caches of a core is faster."""
_LEAST_SHARE = 2
_LEAST_SPARED = 16


class PaddedLayout:
    """Batches rows by size: the longest first, filled up to the longest of their call.

    Args:
        manifest: Manifest with inputs that have a `padding`; without state.

    Attributes:
        inputs: Inputs of a row.
        least_size: Smallest size of a dynamic axis.
    """

    least_size = 1

    def __init__(self, manifest: Manifest) -> None:
        self.inputs = manifest.inputs
        self._outputs = manifest.outputs
        self._padding = {spec.name: spec.padding for spec in manifest.inputs if spec.padding is not None}
        self._axis = next(spec.shape[1] for spec in manifest.inputs if spec.name in self._padding)

    @classmethod
    def fits(cls, manifest: Manifest) -> bool:
        """Whether rows of a package are padded.

        Args:
            manifest: Manifest of the package.
        """
        return any(spec.padding is not None for spec in manifest.inputs)

    def check(self, values: Mapping[str, Values], reasons: dict[int, str]) -> None:
        """Does nothing: rows have no constraints beyond the checked shapes and values.

        Args:
            values: Input name to checked values.
            reasons: Row number to reason.
        """

    def initial(self, num_rows: int) -> StreamState:  # noqa: ARG002
        """No state.

        Args:
            num_rows: Number of rows.
        """
        return {}

    def answer(
        self, values: Mapping[str, Values], state: StreamState | None, run: Run
    ) -> tuple[dict[str, Values], StreamState]:
        """Predicts rows; an output along the padded axis is cut to the size of each row.

        Args:
            values: Input name to checked values.
            state: Must be None or empty.
            run: Runs the ONNX graph.

        Returns:
            answer: Output name to values, rows first.
            state: An empty dict.
        """
        if state:
            raise RequestError("state: given, rows of tokens have none")
        first = values[next(iter(self._padding))]
        lengths = np.array([len(row) for row in first], dtype=np.int64)
        collected: dict[str, list[Array]] = {spec.name: [] for spec in self._outputs}
        calls = list(_calls(lengths))
        for rows in calls:
            answered = run({name: self._take(name, value, rows) for name, value in values.items()})
            for name, parts in collected.items():
                if len(answered[name]) != len(rows):
                    raise PackageError(f"{name}: the graph answers {len(answered[name])} rows to {len(rows)}")
                parts.append(answered[name])
        order = np.argsort(np.concatenate(calls)) if calls else np.zeros(0, dtype=np.int64)
        return {spec.name: self._joined(spec, collected[spec.name], lengths, order) for spec in self._outputs}, {}

    def _take(self, name: str, value: Values, rows: Array) -> Array:
        """Some rows of an input as one array."""
        if isinstance(value, np.ndarray):
            return value[rows]
        if name not in self._padding:
            return np.stack([value[row] for row in rows])
        return pad_rows([value[row] for row in rows], self._padding[name])

    def _joined(self, spec: TensorSpec, parts: list[Array], lengths: Array, order: Array) -> Values:
        """Answers of all calls in the order of the rows."""
        if not parts:
            return np.zeros([size if isinstance(size, int) else 0 for size in spec.shape], dtype=spec.dtype)
        if self._axis not in spec.shape[1:]:
            return parts[0] if len(parts) == 1 and (order[1:] > order[:-1]).all() else np.concatenate(parts)[order]
        if spec.shape[1] != self._axis:
            raise PackageError(f"{spec.name}: the axis {self._axis!r} of its rows is not their first")
        rows = [row for part in parts for row in part]
        cut = [rows[place][: lengths[row]] for row, place in enumerate(order.tolist())]
        return np.stack(cut) if (lengths == lengths[0]).all() else cut


def _calls(lengths: Array) -> Iterator[Array]:
    """Rows of each call, int64 (B,): at least half as long as the longest of their call, in calls of bounded size."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        stop = start + max(1, TOKENS_PER_CALL // max(1, longest))
        least = longest // _LEAST_SHARE - _LEAST_SPARED
        stop = min(stop, start + int(np.searchsorted(-lengths[order[start:]], -least, side="right")))
        yield order[start:stop]
        start = stop
