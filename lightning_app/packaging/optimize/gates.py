"""Gates of a variant of a package: its accuracy and its latency."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from lightning_app.evaluation.bootstrap import bootstrap_ratio
from lightning_app.packaging.export.batches import Arrays
from lightning_app.packaging.export.latency import measure_latency
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.runtime.predictor import Predictor

NOISE = 0.1
"""Share by which two measurements of one thing differ; what is slower by less is not called slower."""
ATTEMPTS = 3
_SECONDS = 2.0
_MIN_CALLS, _MAX_CALLS = 31, 400
_DRAWS = 2**25
_RESAMPLES = (200, 2000)
_MANY = 100.0


class OptimizationError(RuntimeError):
    """A variant does not hold what was asked of it; nothing was written."""


@dataclass(frozen=True)
class Accuracy:
    """The test error of a variant over its parent's, row by row.

    Attributes:
        worse: (error / parent's error - 1); negative is better, infinite where the parent alone has no error.
        low: Lower end of its 95 % interval.
        high: Upper end.
        rows: Test rows.
    """

    worse: float
    low: float
    high: float
    rows: int

    def check(self, bound: float) -> None:
        """Raises `OptimizationError` where the upper end is beyond a bound."""
        if self.high <= bound:
            return
        without = "give the data a longer test split, or --max-worse inf to go without the gate"
        if not math.isfinite(self.worse):
            raise OptimizationError(f"accuracy: {self}, so that there is no ratio; {without}")
        if not math.isfinite(self.high):
            raise OptimizationError(
                f"accuracy: {self.rows} test rows are too few for an interval of the difference "
                f"({as_percent(self.worse)}); {without}"
            )
        raise OptimizationError(
            f"accuracy: {self}; at most {as_percent(bound)} is allowed at its upper end (--max-worse)"
        )

    def __str__(self) -> str:
        if not math.isfinite(self.worse):
            return f"the parent makes no error on its {self.rows:,} test rows, the variant does"
        return (
            f"the test error changed by {as_percent(self.worse)}, 95 % interval {as_percent(self.low)} to "
            f"{as_percent(self.high)} over {self.rows:,} rows"
        )


def as_percent(change: float) -> str:
    """A relative change, e.g. `+1.50%`.

    Args:
        change: 0 for none; may be infinite.
    """
    if not math.isfinite(change):
        return "infinity"
    return f"{change:+.2%}" if abs(change) < _MANY else f"{100 * change:+.3g}%"


def compare_accuracy(parent: pl.DataFrame, variant: pl.DataFrame, *, block: int) -> Accuracy:
    """Compares the errors of two packages on the same test rows, by a paired bootstrap.

    Args:
        parent: `evaluation.parquet` of the parent: `row`, `error`.
        variant: The same of the variant.
        block: Neighbouring rows whose errors are correlated.

    Raises:
        PackageError: They were measured on other rows.
    """
    joined = parent.select("row", "error").join(variant.select("row", other="error"), on="row", how="inner").sort("row")
    if not len(parent) == len(variant) == len(joined):
        raise PackageError(
            f"evaluation.parquet: the parent was measured on {len(parent):,} rows and the variant on {len(variant):,}, "
            f"of which {len(joined):,} are the same; both must be measured on the same data"
        )
    before, after = joined["error"].to_numpy(), joined["other"].to_numpy()
    if not before.sum() > 0:
        worse = 0.0 if not after.sum() > 0 else math.inf
        return Accuracy(worse, worse, worse, len(joined))
    resamples = int(np.clip(_DRAWS // len(joined), *_RESAMPLES))
    ratio = bootstrap_ratio(after, before, block=block, resamples=resamples)
    return Accuracy(ratio.ratio - 1, ratio.low - 1, ratio.high - 1, len(joined))


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of a call by batch size, of parent and variant asked in turns.

    Attributes:
        before: Of the parent.
        after: Of the variant.
        attempts: How many times it was measured; the last one counts.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    attempts: int = 1

    @property
    def slower(self) -> list[str]:
        """Batch sizes at which the variant takes longer."""
        return [size for size, median in self.after.items() if median > self.before[size] * (1 + NOISE)]

    def check(self) -> None:
        """Raises `OptimizationError` where the variant takes longer."""
        if self.slower:
            sizes = " and ".join(
                f"{self.after[size]:g} ms instead of {self.before[size]:g} ms for a batch of {size}"
                for size in self.slower
            )
            raise OptimizationError(f"latency: the variant takes {sizes}; --allow-slower writes it nevertheless")


def compare_latency(parent: Predictor, variant: Predictor, request: Arrays, *, attempts: int = ATTEMPTS) -> Latency:
    """Measures parent and variant in turns, in one process.

    Args:
        parent: With one thread.
        variant: With one thread.
        request: Rows; they are repeated where there are too few.
        attempts: Measure again, up to this many times in all, while the variant appears slower.
    """
    for attempt in range(1, attempts + 1):
        before, after = measure_latency(
            [parent, variant], request, seconds=_SECONDS, min_calls=_MIN_CALLS, max_calls=_MAX_CALLS
        )
        measured = Latency(before, after, attempt)
        if not measured.slower:
            break
    return measured
