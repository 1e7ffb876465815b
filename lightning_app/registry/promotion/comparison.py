"""Two versions on the same test rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightning_app.evaluation.bootstrap import ScoreRatio, bootstrap_ratio
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.parquet_table import read_table

if TYPE_CHECKING:
    import polars as pl

EVALUATION = "evaluation.parquet"
_SLICE = "slice."
# More would make the resamples large and the interval no better.
_MAX_UNITS = 4000
_MIN_BLOCKS = 4
_MIN_SHARED = 0.9


class NotComparableError(ValueError):
    """Two versions were not tested on the same rows."""


@dataclass(frozen=True)
class Candidate:
    """A version whose package lies here.

    Attributes:
        name: As people call it, `NAME@3`.
        path: Folder of the package.
        manifest: Of the package.
    """

    name: str
    path: Path
    manifest: Manifest

    def errors(self) -> "pl.DataFrame":
        """One line per test row: `row`, `error`, and slices."""
        return read_table(self.path / EVALUATION, name=EVALUATION)


def compare_errors(
    first: Candidate, second: Candidate, *, confidence: float = 0.95, block: int | Literal["auto"] = "auto"
) -> ScoreRatio:
    """Error of one version over that of another, with an interval from a paired bootstrap.

    Args:
        first: The version in the numerator.
        second: The version in the denominator.
        confidence: Of the interval.
        block: Test rows per block, in the order of `row`; `auto` is twice the horizon of a forecast, since windows
            that overlap err together, else 1.

    Raises:
        NotComparableError: They were tested on other data, or on other rows.
    """
    shared = shared_rows(first, second)
    mine, theirs = shared["error"].to_numpy(), shared["error_other"].to_numpy()
    if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        raise NotComparableError("an error of a test row is not finite")
    length = first.manifest.block if block == "auto" else block
    length = max(1, min(length, len(shared) // _MIN_BLOCKS))
    if theirs.sum() <= 0:
        worse = float("inf") if mine.sum() > 0 else 1.0
        return ScoreRatio(ratio=worse, low=worse, high=worse, confidence=confidence, block=length)
    unit = -(-len(shared) // _MAX_UNITS)
    starts = np.arange(0, len(shared), unit)
    return bootstrap_ratio(
        np.add.reduceat(mine, starts), np.add.reduceat(theirs, starts), block=-(-length // unit), confidence=confidence
    )


def compare_slices(first: Candidate, second: Candidate, *, min_rows: int) -> Mapping[str, float]:
    """Error of one version over that of another in each part of the test rows that is large enough.

    Args:
        first: The version in the numerator, whose slices are taken.
        second: The version in the denominator.
        min_rows: Rows of a part that is large enough.

    Returns:
        `slice value` to ratio.
    """
    import polars as pl

    shared = shared_rows(first, second)
    ratios = {}
    for column in (name for name in shared.columns if name.startswith(_SLICE)):
        sums = shared.group_by(column).agg(pl.len(), pl.col("error", "error_other").sum()).drop_nulls().sort(column)
        for value, rows, mine, theirs in sums.iter_rows():
            if rows >= min_rows:
                ratio = mine / theirs if theirs > 0 else 1.0 if mine <= 0 else float("inf")
                ratios[f"{column.removeprefix(_SLICE)} {value}"] = ratio
    return ratios


def shared_rows(first: Candidate, second: Candidate) -> "pl.DataFrame":
    """Test rows of two versions, joined: the columns of the first, and `error_other` of the second; sorted by row.

    Args:
        first: A version.
        second: Another.

    Raises:
        NotComparableError: Their data differ, or more than a tenth of the rows.
    """
    mine, theirs = first.manifest, second.manifest
    if mine.task != theirs.task:
        raise NotComparableError(f"{first.name} is a {mine.task}, {second.name} a {theirs.task}")
    if not _is_same_data(mine.evaluation_data, theirs.evaluation_data):
        raise NotComparableError(
            f"{first.name} and {second.name} were tested on other data (their fingerprints differ)"
        )
    left, right = first.errors(), second.errors()
    joined = left.join(right.select("row", error_other="error"), on="row", how="inner").sort("row")
    if joined.height < _MIN_SHARED * max(left.height, right.height) or not joined.height:
        raise NotComparableError(
            f"only {joined.height:,} test rows are of both, {first.name} has {left.height:,}, {second.name} "
            f"{right.height:,}"
        )
    return joined


def _is_same_data(first: Any, second: Any) -> bool:
    """Whether two fingerprints are of the same data; an older package has fewer keys in its own."""
    if isinstance(first, Mapping) and isinstance(second, Mapping) and "sha256" in first and "sha256" in second:
        return all(first[key] == second[key] for key in first.keys() & second.keys())
    return bool(first == second)
