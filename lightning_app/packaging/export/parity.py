"""Parity of a package with its checkpoint: the same answers row by row, and the same metrics of the test."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torchmetrics import MetricCollection

from lightning_app.packaging.export.batches import Arrays, Sample, padded_answer, spread
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.runtime.relative_difference import largest_magnitude, relative_differences
from models import StepOutput
from models.metrics import WeightedMean

TOLERANCE = 1e-4
"""Largest difference to the checkpoint's answer, in units of the largest number of that output (of that column)."""
MISMATCHES = 1e-3
"""Largest share of whole numbers, each the likeliest of some, that may be others."""
ROWS = 256
"""Rows asked in batches of every size, where the test split has as many."""
TEXT_ROWS = 64
"""The same of texts, which take long, or one batch of a larger size. Each row was compared in the walk: this looks for
answers that depend on the number of rows, and calls of the graph have few texts whatever the size of the batch."""
BATCH_SIZES = (1, 7, 64)
UNSEEN_SIZES = (3, 19, 256)
_DIGITS = 1e-4
_NOTHING = 1e-9

Predict = Callable[[Arrays], Arrays]


class ParityError(RuntimeError):
    """A package does not answer as its checkpoint; nothing was written."""


@dataclass(frozen=True)
class Scale:
    """Unit that differences of an output are measured in.

    Attributes:
        spec: The output.
        largest: Largest absolute number of it, broadcastable to its rows.
    """

    spec: TensorSpec
    largest: np.ndarray

    @classmethod
    def of(cls, spec: TensorSpec, expected: np.ndarray) -> "Scale":
        """The largest numbers among some rows, by column where the output has columns of units of their own."""
        if expected.dtype.kind != "f":
            return cls(spec, np.ones(()))
        axis = None
        if spec.columns is not None:
            axis = tuple(dim for dim in range(expected.ndim) if dim != _column_axis(spec, expected.ndim))
        return cls(spec, largest_magnitude(expected, axis=axis, if_zero=_NOTHING))

    def difference(self, answered: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """By row, (B,): the largest difference, or the share of whole numbers that differ."""
        if expected.dtype.kind != "f":
            return (answered != expected).reshape(len(expected), -1).mean(axis=1)
        return relative_differences(answered, expected, self.largest).reshape(len(expected), -1).max(axis=1)


def _column_axis(spec: TensorSpec, ndim: int) -> int:
    return ndim - (2 if spec.levels is not None else 1)


class AnswerComparison:
    """Comparison of a package's answers with its checkpoint's, batch by batch.

    Args:
        outputs: Of the package.

    Attributes:
        largest: Largest difference of floats.
    """

    def __init__(self, outputs: Sequence[TensorSpec]) -> None:
        self.outputs = outputs
        self.largest = 0.0
        self._scales: dict[str, Scale] = {}
        self._differ, self._whole = 0.0, 0

    @property
    def mismatches(self) -> float:
        """Share of the whole numbers that differ."""
        return self._differ / max(1, self._whole)

    def compare(self, answered: Arrays, expected: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        """Raises where floats differ; differences of whole numbers are counted.

        Args:
            answered: By the package.
            expected: By the checkpoint.
            rows: Keys of the rows.

        Raises:
            ParityError: They differ; names the row, the output and the difference.
        """
        for spec in self.outputs:
            wanted, given = np.asarray(expected[spec.name]), answered[spec.name]
            sizes = {len(row) for row in given} if any(isinstance(size, str) for size in spec.shape[1:2]) else set()
            if sizes - {*wanted.shape[1:2]} and max(sizes) <= wanted.shape[1]:
                given = padded_answer(given, wanted.shape[1])  # to rows without their padding
            answer = np.asarray(given)
            if answer.shape != wanted.shape:
                raise ParityError(
                    f"{spec.name}: the package answers {list(answer.shape)}, the checkpoint {list(wanted.shape)} for "
                    f"{len(rows)} rows"
                )
            apart = self._scales.setdefault(spec.name, Scale.of(spec, wanted)).difference(answer, wanted)
            if not spec.dtype.startswith("float"):
                self._differ += float(apart.sum())
                self._whole += len(apart)
                continue
            worst = int(apart.argmax())
            self.largest = max(self.largest, float(apart[worst]))
            if not apart[worst] <= TOLERANCE:
                raise ParityError(
                    f"{spec.name} of row {rows[worst]}, in a batch of {len(rows)}, is {apart[worst]:.2g} of the "
                    f"largest number away from what the checkpoint answers; {TOLERANCE:g} is allowed. The network does "
                    "something in evaluation that ONNX does otherwise, or that depends on other rows or calls"
                )

    def check_whole_numbers(self) -> None:
        """Raises where more of them differ than rounding explains.

        Raises:
            ParityError: There are more.
        """
        if self.mismatches > MISMATCHES:
            names = ", ".join(spec.name for spec in self.outputs if not spec.dtype.startswith("float"))
            raise ParityError(
                f"{names}: {self.mismatches:.2%} of the whole numbers are others than the checkpoint's, "
                f"{MISMATCHES:.1%} is allowed; differences of rounding grow in a recursion that has not learned to "
                "settle: train it longer, or give it fewer steps"
            )


def compare_sizes(comparison: AnswerComparison, sample: Sample, predict: Predict, *, num_rows: int = ROWS) -> None:
    """Asks the same rows in batches of several sizes, of which the export saw none.

    Args:
        comparison: Counts the differences.
        sample: The rows.
        predict: Asks the package.
        num_rows: Rows asked in batches of each size, or one batch if that is larger.
    """
    for size in (*BATCH_SIZES, *UNSEEN_SIZES):
        asked = spread(len(sample.rows), max(num_rows, size))
        for places in _chunks(len(asked), size):
            positions = asked[places]
            part = sample.at(positions)
            comparison.compare(predict(part.request), part.answer, part.rows)


def _chunks(total: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, total, size):
        yield np.arange(start, min(start + size, total))


class TestMetrics:
    """Loss and metrics over the whole test split, as `test` keeps them.

    Args:
        metrics: Metrics to keep.
        with_loss: Keep the loss too.
    """

    __test__ = False  # no test for pytest to collect

    def __init__(self, metrics: MetricCollection, *, with_loss: bool) -> None:
        self._metrics = metrics
        self._loss = WeightedMean() if with_loss else None

    def add(self, step: StepOutput) -> None:
        """Adds a batch."""
        if self._loss is not None:
            self._loss.update(step.loss.detach(), step.weight)
        if step.weight:
            predictions: Any = step.predictions
            if isinstance(predictions, Mapping):  # of several heads
                predictions = {name: value.detach() for name, value in predictions.items()}
            else:
                predictions = predictions.detach()
            self._metrics.update(predictions, step.targets)

    def values(self) -> dict[str, float]:
        """Metrics by name, `test/loss` among them; those that are not finite are left out."""
        computed = {} if self._loss is None else {"loss": self._loss.compute()}
        computed |= self._metrics.compute()
        values = {f"test/{name}": float(value) for name, value in computed.items()}
        return {name: value for name, value in sorted(values.items()) if math.isfinite(value)}

    def better(self) -> dict[str, str]:
        """`lower` or `higher` by name of a metric: which is better."""
        better = {"test/loss": "lower"}
        for name, metric in self._metrics.items():
            better[f"test/{name}"] = "higher" if getattr(metric, "higher_is_better", None) else "lower"
        return better


def compare_metrics(checkpoint: Mapping[str, float], package: Mapping[str, float]) -> None:
    """Raises unless two sets of metrics agree to four digits.

    Args:
        checkpoint: Metrics of the checkpoint.
        package: Metrics of the package.

    Raises:
        ParityError: They differ.
    """
    for name, value in checkpoint.items():
        other = package.get(name, math.nan)
        if not abs(value - other) <= _DIGITS * max(abs(value), 1e-3):
            raise ParityError(f"{name} is {other:.6g} of the package and {value:.6g} of the checkpoint")
