"""Tables of a package: `evaluation.parquet`, its errors by test row, and `reference.parquet`, rows with its answers."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from lightning_app.evaluation.bootstrap import bootstrap_ratio
from lightning_app.packaging.export.batches import Arrays, Evaluation, Sample
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.frames import write_frame
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.text.padded_rows import PaddedLayout
from lightning_app.packaging.runtime.values import Values

_RESAMPLES = 2000
_THIRDS = ("low", "middle", "high")


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval.

    Attributes:
        mean: The mean.
        low: Lower end.
        high: Upper end; infinite where there are too few rows to say.
    """

    mean: float
    low: float
    high: float


def mean_interval(errors: np.ndarray, *, block: int, seed: int = 0) -> Interval:
    """The mean error of some rows, by a bootstrap.

    Args:
        errors: float64 (N,), in the order of the test split.
        block: Neighbouring rows whose errors are correlated, resampled together; 1 resamples single rows.
        seed: Of the resampling.
    """
    mean = float(errors.mean())
    if block > 1:
        ratio = bootstrap_ratio(errors, np.ones_like(errors), block=block, resamples=_RESAMPLES, seed=seed)
        return Interval(mean, ratio.low, ratio.high)
    rng = np.random.default_rng(seed)
    count = len(errors)
    # A chunk of resamples at a time: their rows together would take count x resamples numbers.
    step = max(1, 2**22 // count)
    means = [
        errors[rng.integers(count, size=(min(step, _RESAMPLES - start), count))].mean(axis=1)
        for start in range(0, _RESAMPLES, step)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Interval(mean, float(low), float(high))


def evaluation_table(rows: Sequence[np.ndarray], evaluations: Sequence[Evaluation]) -> pl.DataFrame:
    """A line per row of the test split: `row`, `error`, and a text column per slice.

    Args:
        rows: Keys of the rows of each batch.
        evaluations: Of each batch.
    """
    names = list(evaluations[0].slices)
    table = pl.DataFrame(
        {
            "row": np.concatenate(rows).astype(np.int64),
            "error": np.concatenate([part.errors for part in evaluations]).astype(np.float64),
            **{
                f"slice.{name}": _as_text(np.concatenate([part.slices[name] for part in evaluations])) for name in names
            },
        }
    )
    # What was measured in finer steps than rows (the tokens of a stretch) counts with its mean.
    return table.group_by("row").agg(pl.col("error").mean(), pl.col(r"^slice\..*$").first()).sort("row")


def slice_errors(table: pl.DataFrame) -> dict[str, dict[str, dict[str, float | int]]]:
    """By name and value of each slice: `rows` and their mean `error`.

    Args:
        table: As of `evaluation_table`.
    """
    errors = {}
    for column in table.columns:
        if column.startswith("slice."):
            groups = table.group_by(column, maintain_order=True).agg(pl.len(), pl.col("error").mean()).sort(column)
            errors[column.removeprefix("slice.")] = {
                str(value): {"rows": int(count), "error": float(error)} for value, count, error in groups.iter_rows()
            }
    return errors


def reference_table(sample: Sample, predictor: Predictor, held_out: HeldOutRows) -> pl.DataFrame:
    """Rows of the test split as a table: ids, inputs, targets, and the answers of the package to this very table.

    Texts take long to read and their answers do not depend on other rows: those of the walk are taken, where it kept
    them.

    Args:
        sample: The rows.
        predictor: The package.
        held_out: Rows with the package's answers.
    """
    inputs, targets = write_frame(_values(sample.request)), write_frame(_values(sample.targets))
    known = held_out.answers_to(sample.rows) if _answers_texts_by_row(predictor.manifest) else None
    answers: pl.DataFrame
    answers = predictor.predict(inputs) if known is None else predictor.finish(known, {}, is_frame=True)
    ids = pl.DataFrame(dict(sample.ids))
    return pl.concat([ids, inputs, targets, answers.drop(inputs.columns, strict=False)], how="horizontal")


def _answers_texts_by_row(manifest: Manifest) -> bool:
    return PaddedLayout.fits(manifest) and not any(
        isinstance(size, str) for one in manifest.outputs for size in one.shape[1:]
    )


def as_parquet(table: pl.DataFrame) -> bytes:
    """The content of a parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _values(arrays: Arrays) -> Mapping[str, Values]:
    return dict(arrays)


def _as_text(values: np.ndarray) -> list[str]:
    """Text as it is; numbers by the third of the split that they lie in."""
    if values.dtype.kind != "f":
        return [str(value) for value in values]
    lower, upper = np.quantile(values, (1 / 3, 2 / 3))
    thirds = (values > lower).astype(int) + (values > upper)
    return [_THIRDS[third] for third in thirds]
