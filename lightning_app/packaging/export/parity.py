"""The gate: a package must answer as its checkpoint does, row by row and in the metrics of the test."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torchmetrics import MetricCollection

from lightning_app.packaging.export.exporter import Arrays, Sample
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
BATCH_SIZES = (1, 7, 64)
UNSEEN_SIZES = (3, 19, 256)
_DIGITS = 1e-4
_NOTHING = 1e-9

Predict = Callable[[Arrays], Mapping[str, np.ndarray]]


class ParityError(RuntimeError):
    """A package does not answer as its checkpoint; nothing was written."""


@dataclass(frozen=True)
class Scale:
    """What differences of an output are measured in.

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
            axis = tuple(place for place in range(expected.ndim) if place != _column_axis(spec, expected.ndim))
        return cls(spec, largest_magnitude(expected, axis=axis, if_zero=_NOTHING))

    def difference(self, found: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """By row, (B,): the largest difference, or the share of whole numbers that differ."""
        if expected.dtype.kind != "f":
            return (found != expected).reshape(len(expected), -1).mean(axis=1)
        return relative_differences(found, expected, self.largest).reshape(len(expected), -1).max(axis=1)


def _column_axis(spec: TensorSpec, ndim: int) -> int:
    return ndim - (2 if spec.levels is not None else 1)


class ParityGate:
    """Compares answers as they come, and keeps the largest difference.

    Args:
        outputs: What the package answers.

    Attributes:
        largest: Largest difference of numbers with a fraction.
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

    def compare(self, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        """Raises where numbers with a fraction differ; whole numbers are counted.

        Args:
            found: The package's.
            expected: The checkpoint's.
            rows: Keys of the rows.

        Raises:
            ParityError: They do, with the row, the output and by how much.
        """
        for spec in self.outputs:
            wanted, answer = np.asarray(expected[spec.name]), np.asarray(found[spec.name])
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
            ParityError: They do.
        """
        if self.mismatches > MISMATCHES:
            names = ", ".join(spec.name for spec in self.outputs if not spec.dtype.startswith("float"))
            raise ParityError(
                f"{names}: {self.mismatches:.2%} of the whole numbers are others than the checkpoint's, "
                f"{MISMATCHES:.1%} is allowed; differences of rounding grow in a recursion that has not learned to "
                "settle: train it longer, or give it fewer steps"
            )


def compare_sizes(gate: ParityGate, sample: Sample, predict: Predict) -> None:
    """Asks the same rows in batches of several sizes, of which the export saw none.

    Args:
        gate: Where differences are compared.
        sample: The rows.
        predict: Asks the package.
    """
    for size in (*BATCH_SIZES, *UNSEEN_SIZES):
        for places in _chunks(len(sample.rows), size):
            part = sample.at(places)
            gate.compare(predict(part.request), part.answer, part.rows)


def _chunks(total: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, total, size):
        yield np.arange(start, min(start + size, total))


class TestMetrics:
    """Loss and metrics over the whole test split, as `test` keeps them.

    Args:
        metrics: What to keep.
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
            self._metrics.update(step.predictions.detach(), step.targets)

    def values(self) -> dict[str, float]:
        """By name, `test/loss` among them; what is not finite is left out."""
        found = {} if self._loss is None else {"loss": self._loss.compute()}
        found |= self._metrics.compute()
        values = {f"test/{name}": float(value) for name, value in found.items()}
        return {name: value for name, value in sorted(values.items()) if math.isfinite(value)}

    def better(self) -> dict[str, str]:
        """Which way each metric is better."""
        found = {"test/loss": "lower"}
        for name, metric in self._metrics.items():
            found[f"test/{name}"] = "higher" if getattr(metric, "higher_is_better", None) else "lower"
        return found


def compare_metrics(checkpoint: Mapping[str, float], package: Mapping[str, float]) -> None:
    """Raises unless two sets of metrics agree to four digits.

    Args:
        checkpoint: What the checkpoint scores.
        package: What the package scores.

    Raises:
        ParityError: They do not.
    """
    for name, value in checkpoint.items():
        other = package.get(name, math.nan)
        if not abs(value - other) <= _DIGITS * max(abs(value), 1e-3):
            raise ParityError(f"{name} is {other:.6g} of the package and {value:.6g} of the checkpoint")
