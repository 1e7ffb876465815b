"""`reference.parquet`: a sample of the test split with the answers of the package, to ask again."""

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
"""Of whole numbers and text, how many may differ between two machines."""


def read_sample(folder: Path) -> "pl.DataFrame":
    """The rows of `reference.parquet`.

    Args:
        folder: Of the package.

    Raises:
        PackageError: It is no parquet file, or holds more than a sample does.
    """
    return read_table(folder / REFERENCE, name=REFERENCE, nested=True, most=MAX_SAMPLE_VALUES)


@dataclass(frozen=True)
class Difference:
    """How far an answer is from the one in a sample.

    Attributes:
        value: For numbers with a fraction the largest difference, in units of the largest number of the sample; for
            whole numbers and text the share that differs.
        allowed: The largest value between two machines; where two classes are equally likely, either may be named.
    """

    value: float
    allowed: float

    def __str__(self) -> str:
        return f"{self.value:.2g}"


def answer_differences(package: Package, sample: "pl.DataFrame") -> dict[str, Difference]:
    """Asks a package what a sample was answered.

    Args:
        package: What is asked.
        sample: Inputs, and answers by the same names.

    Returns:
        By each output that the sample has.

    Raises:
        PackageError: The sample holds no output of the package.
        RequestError: The sample does not hold its inputs.
    """
    answer = package.predict(sample)
    ids = id_columns(package.manifest)
    said = [name for name in answer.columns if name not in ids]
    names = [name for name in said if name in sample.columns]
    if not names:
        raise PackageError(f"{REFERENCE}: it has no column {' or '.join(said)} to compare answers with")
    tolerance = tolerance_of(package.path)
    return {name: _difference(answer[name], sample[name], tolerance) for name in names}


def _difference(answer: "pl.Series", wanted: "pl.Series", tolerance: float) -> Difference:
    import polars as pl

    leaf = answer.dtype
    while (inner := getattr(leaf, "inner", None)) is not None:
        leaf = inner
    allowed = tolerance if leaf.is_float() else SHARE
    flat, wanted_flat = _flat(answer), _flat(wanted)
    # Lists of other lengths have other numbers behind them, or as many: both are another answer.
    if len(flat) != len(wanted_flat):
        return Difference(float("inf"), allowed)
    if not len(flat):
        return Difference(0.0, allowed)
    if not leaf.is_float():
        differs = flat.cast(pl.String).ne_missing(wanted_flat.cast(pl.String)).to_numpy()
        return Difference(float(differs.mean()), allowed)
    numbers, wanted_numbers = (side.cast(pl.Float64).to_numpy() for side in (flat, wanted_flat))
    return Difference(relative_difference(numbers, wanted_numbers), allowed)


def _flat(series: "pl.Series") -> "pl.Series":
    while getattr(series.dtype, "inner", None) is not None:
        series = series.explode()
    return series
