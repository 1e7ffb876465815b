"""Reference sample (`reference.parquet`): rows of the test split with the package's answers, for later replay."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.parquet_table import MAX_SAMPLE_VALUES, read_table
from lightning_app.packaging.runtime.golden import tolerance_of
from lightning_app.packaging.runtime.package import Package
from lightning_app.packaging.runtime.relative_difference import relative_difference
from lightning_app.packaging.runtime.row_ids import id_columns

if TYPE_CHECKING:
    import polars as pl

REFERENCE = "reference.parquet"
SHARE = 0.01
"""Fraction of integers and strings that may differ between two machines."""


def read_sample(folder: Path) -> "pl.DataFrame":
    """Reads `reference.parquet`.

    Args:
        folder: Folder of the package.

    Raises:
        PackageError: The file is no parquet file, or exceeds the limits of a sample.
    """
    return read_table(folder / REFERENCE, name=REFERENCE, nested=True, most=MAX_SAMPLE_VALUES)


@dataclass(frozen=True)
class Difference:
    """Difference between an answer and the one in a sample.

    Attributes:
        value: Of floats, the largest difference relative to the largest value of the sample; of integers and strings,
            the fraction that differs.
        allowed: Largest allowed value between two machines; ties between classes may be resolved differently.
    """

    value: float
    allowed: float

    def __str__(self) -> str:
        return f"{self.value:.2g}"


def answer_differences(package: Package, sample: "pl.DataFrame") -> dict[str, Difference]:
    """Predicts a sample again, and compares the answers.

    Args:
        package: Package to compare.
        sample: Inputs and answers by name.

    Returns:
        Output name to difference, of the outputs that the sample has.

    Raises:
        PackageError: The sample has no output of the package.
        RequestError: The sample lacks inputs of the package.
    """
    answer = package.predict(sample)
    ids = id_columns(package.manifest)
    outputs = [name for name in answer.columns if name not in ids]
    names = [name for name in outputs if name in sample.columns]
    if not names:
        raise PackageError(f"{REFERENCE}: it has no column {' or '.join(outputs)} to compare answers with")
    tolerance = tolerance_of(package.path)
    return {name: _difference(answer[name], sample[name], tolerance) for name in names}


def _difference(answer: "pl.Series", expected: "pl.Series", tolerance: float) -> Difference:
    import polars as pl

    leaf = answer.dtype
    while (inner := getattr(leaf, "inner", None)) is not None:
        leaf = inner
    allowed = tolerance if leaf.is_float() else SHARE
    if leaf == pl.String and answer.dtype.is_nested():  # labels: how many there are may differ from row to row
        rows = list(zip(answer.to_list(), expected.to_list(), strict=True))
        return Difference(sum(given != stated for given, stated in rows) / max(1, len(rows)), allowed)
    flat, expected_flat = _flat(answer), _flat(expected)
    # Nested lists are compared flat; a different number of values is a different answer.
    if len(flat) != len(expected_flat):
        return Difference(float("inf"), allowed)
    if not len(flat):
        return Difference(0.0, allowed)
    if not leaf.is_float():
        differs = flat.cast(pl.String).ne_missing(expected_flat.cast(pl.String)).to_numpy()
        return Difference(float(differs.mean()), allowed)
    numbers, expected_numbers = (side.cast(pl.Float64).to_numpy() for side in (flat, expected_flat))
    return Difference(relative_difference(numbers, expected_numbers), allowed)


def _flat(series: "pl.Series") -> "pl.Series":
    while getattr(series.dtype, "inner", None) is not None:
        series = series.explode()
    return series
