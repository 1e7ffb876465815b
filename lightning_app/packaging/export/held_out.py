"""HeldOut: rows of the test split with the package's answers, kept during the walk of an export in bounded memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_app.packaging.export.batches import Arrays, TestBatch, take
from lightning_app.packaging.format.manifest import Layout

if TYPE_CHECKING:
    from lightning_app.packaging.export.exporter import Exporter

MOST_ROWS = 200_000
MOST_VALUES = 2**23
"""Most numbers of the rows that are kept: inputs, answers and targets together."""


@dataclass(frozen=True)
class HeldOutRows:
    """Rows of the test split, with the answers of the package.

    Attributes:
        rows: Keys of the rows, as in `TestBatch`, int64 (N,).
        request: Inputs of the package; none of a stream, whose rows are not those of its requests.
        answer: Outputs of the package.
        targets: Columns of targets.
    """

    rows: np.ndarray
    request: Arrays
    answer: Arrays
    targets: Arrays

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: np.ndarray) -> "HeldOutRows":
        """The rows at some positions, int64 (K,)."""
        return HeldOutRows(
            self.rows[positions],
            *(take(arrays, positions) for arrays in (self.request, self.answer, self.targets)),
        )

    def answers_to(self, rows: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]] | None:
        """Outputs of the package for some rows; None unless each of them is here once.

        Args:
            rows: Keys of the rows, int64 (K,).
        """
        order = np.argsort(self.rows, kind="stable")
        keys = self.rows[order]
        first, behind = (np.searchsorted(keys, rows, side=side) for side in ("left", "right"))
        if not (behind - first == 1).all():
            return None
        return take(self.answer, order[first])

    @property
    def num_values(self) -> int:
        """Numbers in all rows."""
        return sum(
            value.size if isinstance(value, np.ndarray) else sum(row.size for row in value)
            for arrays in (self.request, self.answer, self.targets)
            for value in arrays.values()
        )


class HeldOut:
    """All batches of the walk, or every second, fourth, ... of them where they are too many.

    Whole batches are kept because neighbouring rows may depend on each other: how much is estimated from them.

    Args:
        layout: Of the package.
        outputs: Names of its outputs.
        targets: Gives the targets of a batch.
    """

    def __init__(self, *, layout: Layout, outputs: Sequence[str], targets: Callable[[TestBatch], Arrays]) -> None:
        self._layout = layout
        self._outputs = tuple(outputs)
        self._targets = targets
        self._parts: list[HeldOutRows] = []
        self._every = 1
        self._seen = 0

    @classmethod
    def of(cls, exporter: "Exporter") -> "HeldOut":
        """For the walk of an exporter.

        Args:
            exporter: Of the package.
        """
        outputs = [spec.name for spec in exporter.outputs]
        return cls(layout=exporter.layout, outputs=outputs, targets=exporter.targets)

    def add(self, test_batch: TestBatch, answer: Arrays) -> None:
        """Keeps a batch of the walk, or leaves it out.

        Args:
            test_batch: The batch.
            answer: The package's answer to it.
        """
        self._seen += 1
        if (self._seen - 1) % self._every:
            return
        self._parts.append(
            HeldOutRows(
                rows=test_batch.rows,
                request={} if self._layout == "stream" else test_batch.request,
                answer={name: answer[name] for name in self._outputs},
                targets=self._targets(test_batch),
            )
        )
        while len(self._parts) > 1 and self._is_too_large:
            self._every *= 2
            self._parts = self._parts[::2]

    def rows(self) -> HeldOutRows:
        """The rows that were kept, in the order of the walk."""
        parts = self._parts
        return HeldOutRows(
            rows=np.concatenate([part.rows for part in parts]),
            request=_joined([part.request for part in parts]),
            answer=_joined([part.answer for part in parts]),
            targets=_joined([part.targets for part in parts]),
        )

    @property
    def _is_too_large(self) -> bool:
        return sum(map(len, self._parts)) > MOST_ROWS or sum(part.num_values for part in self._parts) > MOST_VALUES


def _joined(parts: Sequence[Arrays]) -> Arrays:
    joined: dict[str, np.ndarray | list[np.ndarray]] = {}
    for name in parts[0]:
        values = [part[name] for part in parts if name in part]
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        same = len(arrays) == len(values) and len({array.shape[1:] for array in arrays}) == 1
        joined[name] = np.concatenate(arrays) if same else [row for value in values for row in value]
    return joined
