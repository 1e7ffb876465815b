"""Version comparison: errors of two versions on the same test rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightning_app.evaluation.bootstrap import ScoreRatio, bootstrap_ratio
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.parquet_table import read_table
from lightning_app.registry.storage.evaluations import FurtherEvaluation

if TYPE_CHECKING:
    import polars as pl

EVALUATION = "evaluation.parquet"
_SLICE = "slice."
# More units make the bootstrap slow without a better interval.
_MAX_UNITS = 4000
_MIN_BLOCKS = 4
_MIN_SHARED = 0.9


class NotComparableError(ValueError):
    """Two versions were not tested on the same rows."""


@dataclass(frozen=True)
class Candidate:
    """A version whose package is on this machine.

    Attributes:
        name: Display name, e.g. `NAME@3`.
        path: Folder of the package.
        manifest: Manifest of the package.
        further: Reads its evaluations on other data than that of its test.
    """

    name: str
    path: Path
    manifest: Manifest
    further: Callable[[], Sequence[FurtherEvaluation]] = tuple

    def errors(self) -> "pl.DataFrame":
        """Errors of the test rows: columns `row`, `error`, and one per slice."""
        return read_table(self.path / EVALUATION, name=EVALUATION)


@dataclass(frozen=True)
class SharedRows:
    """Rows that two versions were measured on.

    Attributes:
        table: Columns of the first version, and `error_other` of the second, sorted by `row`.
        data: What they are of, in words; empty for the test split of both.
    """

    table: "pl.DataFrame"
    data: str = ""


def error_ratio(
    first: Candidate,
    second: Candidate,
    *,
    confidence: float = 0.95,
    block: int | Literal["auto"] = "auto",
    shared: SharedRows | None = None,
) -> ScoreRatio:
    """Ratio of the errors of two versions, with a confidence interval from a paired block bootstrap.

    Args:
        first: Version in the numerator.
        second: Version in the denominator.
        confidence: Confidence level of the interval.
        block: Test rows per block, in the order of `row`. `auto` is twice the horizon of a forecast, because the errors
            of overlapping windows are correlated, else 1.
        shared: The rows, if they were joined before.

    Raises:
        NotComparableError: The versions were tested on different data or rows.
    """
    table = (shared or shared_rows(first, second)).table
    mine, theirs = table["error"].to_numpy(), table["error_other"].to_numpy()
    if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        raise NotComparableError("an error of a test row is not finite")
    length = first.manifest.block if block == "auto" else block
    length = max(1, min(length, len(table) // _MIN_BLOCKS))
    if theirs.sum() <= 0:
        worse = float("inf") if mine.sum() > 0 else 1.0
        return ScoreRatio(ratio=worse, low=worse, high=worse, confidence=confidence, block=length)
    unit = -(-len(table) // _MAX_UNITS)
    starts = np.arange(0, len(table), unit)
    return bootstrap_ratio(
        np.add.reduceat(mine, starts), np.add.reduceat(theirs, starts), block=-(-length // unit), confidence=confidence
    )


def compare_slices(first: Candidate, second: Candidate, *, min_rows: int) -> Mapping[str, float]:
    """Ratio of the errors of two versions in each slice of the test rows that is large enough.

    Args:
        first: Version in the numerator; its slices are used.
        second: Version in the denominator.
        min_rows: Smallest slice, in rows.

    Returns:
        `<slice> <value>` to ratio.
    """
    import polars as pl

    table = shared_rows(first, second).table
    ratios = {}
    for column in (name for name in table.columns if name.startswith(_SLICE)):
        sums = table.group_by(column).agg(pl.len(), pl.col("error", "error_other").sum()).drop_nulls().sort(column)
        for value, rows, mine, theirs in sums.iter_rows():
            if rows >= min_rows:
                ratio = mine / theirs if theirs > 0 else 1.0 if mine <= 0 else float("inf")
                ratios[f"{column.removeprefix(_SLICE)} {value}"] = ratio
    return ratios


def shared_rows(first: Candidate, second: Candidate) -> SharedRows:
    """Joins the rows that two versions were measured on: the test split of both, else the latest data of both.

    Args:
        first: A version.
        second: Another version.

    Raises:
        NotComparableError: The versions differ in their task or data, or in more than a tenth of the rows.
    """
    mine, theirs = first.manifest, second.manifest
    if mine.task != theirs.task:
        raise NotComparableError(f"{first.name} is a {mine.task}, {second.name} a {theirs.task}")
    if _is_same_data(mine.evaluation_data, theirs.evaluation_data):
        return SharedRows(_joined(first, first.errors(), second, second.errors()))
    others = {str(one.data["sha256"]): one for one in second.further()}
    both = [(one, others[key]) for one in first.further() if (key := str(one.data["sha256"])) in others]
    if not both:
        raise NotComparableError(
            f"{first.name} and {second.name} were tested on other data (their fingerprints differ), and no further "
            "evaluation is of both"
        )
    left, right = max(both, key=lambda pair: (pair[0].made, str(pair[0].data["sha256"])))
    return SharedRows(_joined(first, left.errors, second, right.errors), data=str(left))


def _joined(first: Candidate, left: "pl.DataFrame", second: Candidate, right: "pl.DataFrame") -> "pl.DataFrame":
    joined = left.join(right.select("row", error_other="error"), on="row", how="inner").sort("row")
    if joined.height < _MIN_SHARED * max(left.height, right.height) or not joined.height:
        raise NotComparableError(
            f"only {joined.height:,} test rows are of both, {first.name} has {left.height:,}, {second.name} "
            f"{right.height:,}"
        )
    return joined


def _is_same_data(first: Any, second: Any) -> bool:
    """Whether two fingerprints describe the same data; packages of earlier versions have fewer keys."""
    if isinstance(first, Mapping) and isinstance(second, Mapping) and "sha256" in first and "sha256" in second:
        return all(first[key] == second[key] for key in first.keys() & second.keys())
    return bool(first == second)
