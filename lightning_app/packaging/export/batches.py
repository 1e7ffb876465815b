"""Batches and rows of the test split as an export asks them: `TestBatch`, `Sample`, and the `Evaluation` of answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import StepOutput

Arrays = Mapping[str, np.ndarray | list[np.ndarray]]
"""By name of an input or output: rows first, or an array per row where rows differ in size."""


@dataclass(frozen=True)
class TestBatch:
    """A batch of the test split, with the answers of the checkpoint.

    Attributes:
        rows: Key of each row, the same for all models on this data, int64 (B,).
        request: Inputs of the package.
        answer: Outputs that are expected of it.
        step: `step` of the module on the batch.
        batch: The batch, or what `Exporter.evaluate` needs of it.
    """

    __test__ = False  # no test for pytest to collect

    rows: np.ndarray
    request: Arrays
    answer: Mapping[str, np.ndarray]
    step: StepOutput
    batch: Any


@dataclass(frozen=True)
class Sample:
    """Rows of the test split that can be asked in any order and number.

    Attributes:
        rows: Keys, int64 (B,).
        request: Inputs of the package.
        answer: Outputs that are expected of it.
        targets: Columns of targets, rows first.
        ids: Columns that identify the rows, where no input does.
    """

    rows: np.ndarray
    request: Arrays
    answer: Mapping[str, np.ndarray]
    targets: Arrays
    ids: Mapping[str, np.ndarray] = field(default_factory=dict)

    def at(self, positions: np.ndarray) -> "Sample":
        """The rows at some positions, int64 (K,)."""
        return Sample(
            rows=self.rows[positions],
            request=take(self.request, positions),
            answer={name: value[positions] for name, value in self.answer.items()},
            targets=take(self.targets, positions),
            ids={name: value[positions] for name, value in self.ids.items()},
        )


def padded_answer(rows: np.ndarray | list[np.ndarray], width: int) -> np.ndarray:
    """Answers to rows of different sizes as one array, zeros behind them.

    Args:
        rows: An array per row, its size first.
        width: Size of a row of the result.
    """
    padded = np.zeros((len(rows), width, *rows[0].shape[1:]), dtype=rows[0].dtype)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded


@dataclass(frozen=True)
class RawParity:
    """Answers to raw rows of the test split, by package and checkpoint.

    Attributes:
        rows: Key of each row, int64 (B,).
        answered: By the package, from the raw table; output name to values, rows first.
        expected: By the checkpoint, through the data module, in the same units.
    """

    rows: np.ndarray
    answered: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """Errors of a package on a batch, measured as the test measures the checkpoint.

    Attributes:
        step: As `TestBatch.step`, of the package's answers.
        errors: One error per row, lower is better, float64 (B,).
        slices: Columns by name of a slice: text, or numbers that are cut into thirds.
        rows: Keys of the rows, where these are not all that was asked; else None.
    """

    step: StepOutput
    errors: np.ndarray
    slices: Mapping[str, np.ndarray]
    rows: np.ndarray | None = None


def spread(total: int, count: int) -> np.ndarray:
    """Positions spread over a range, ascending and different, int64 (min(count, total),)."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


def take(arrays: Arrays, positions: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]:
    """The rows at some positions.

    Args:
        arrays: Rows first.
        positions: int64 (K,).
    """
    return {
        name: value[positions] if isinstance(value, np.ndarray) else [value[position] for position in positions]
        for name, value in arrays.items()
    }


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays that share their memory where they can."""
    return {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}


def as_tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(array))
