"""What a variant of a package must hold: its accuracy, and its time."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from lightning_app.evaluation.bootstrap import bootstrap_ratio
from lightning_app.packaging.errors import PackageError
from lightning_app.packaging.export.exporter import Arrays, take
from lightning_app.packaging.predictor import Predictor

BATCH_SIZES = (1, 8)
NOISE = 0.1
"""Share by which two measurements of one thing differ; what is slower by less is not called slower."""
_SECONDS = 2.0
_FEWEST, _MOST = 31, 400
_DRAWS = 2**25
_RESAMPLES = (200, 2000)


class OptimizationError(RuntimeError):
    """A variant does not hold what was asked of it; nothing was written."""


@dataclass(frozen=True)
class Accuracy:
    """The test error of a variant over its parent's, row by row.

    Attributes:
        worse: (error / parent's error - 1); negative is better.
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
        if not math.isfinite(self.high):
            raise OptimizationError(
                f"accuracy: {self.rows} test rows are too few for an interval of the difference ({self.worse:+.2%}); "
                "give the data a longer test split, or --max-worse inf to go without the gate"
            )
        raise OptimizationError(
            f"accuracy: the test error is {self.worse:+.2%} of the parent's, 95 % interval {self.low:+.2%} to "
            f"{self.high:+.2%} over {self.rows:,} rows; at most {bound:+.2%} is allowed at its upper end (--max-worse)"
        )


def compare_errors(parent: pl.DataFrame, variant: pl.DataFrame, *, block: int) -> Accuracy:
    """Compares the errors of two packages on the same test rows, by a paired bootstrap.

    Args:
        parent: `evaluation.parquet` of the parent: `row`, `error`.
        variant: The same of the variant.
        block: Neighbouring rows that hang together.

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
    found = bootstrap_ratio(after, before, block=block, resamples=resamples)
    return Accuracy(found.ratio - 1, found.low - 1, found.high - 1, len(joined))


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of a call by batch size, before and after, measured in turns.

    Attributes:
        before: Of the parent.
        after: Of the variant.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]

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


def compare_latency(parent: Predictor, variant: Predictor, request: Arrays, *, attempts: int = 3) -> Latency:
    """Asks both in turns, so that whatever else the machine does slows both.

    Args:
        parent: With one thread.
        variant: With one thread.
        request: Rows; they are repeated where there are too few.
        attempts: Measure as often until the variant is not slower.
    """
    measured = _measure(parent, variant, request)
    for _ in range(attempts - 1):
        if not measured.slower:
            break
        measured = _measure(parent, variant, request)
    return measured


def _measure(parent: Predictor, variant: Predictor, request: Arrays) -> Latency:
    before, after = {}, {}
    total = len(next(iter(request.values())))
    for size in BATCH_SIZES:
        asked = take(request, np.arange(size) % total)
        times: tuple[list[float], list[float]] = ([], [])
        for predictor in (parent, variant):
            predictor.predict(asked)
        end = time.perf_counter() + _SECONDS
        while len(times[0]) < _FEWEST or (time.perf_counter() < end and len(times[0]) < _MOST):
            for place, predictor in enumerate((parent, variant)):
                start = time.perf_counter()
                predictor.predict(asked)
                times[place].append(1e3 * (time.perf_counter() - start))
        before[str(size)], after[str(size)] = (round(float(np.median(found)), 4) for found in times)
    return Latency(before, after)
