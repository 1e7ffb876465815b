"""Errors by row: a package asked labelled rows, measured as `evaluation.parquet` of its export is."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import LABEL, OUTCOME, PREDICTION, answer_form
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import read_points
from lightning_app.packaging import BadRowsError, Package

_ROW = "row"
_TRIES = 5


@dataclass(frozen=True)
class RowErrors:
    """Errors of a package.

    Attributes:
        errors: By row of the table; NaN where it was not answered.
        error_name: What they are.
        rejected: Row to the reason why it was not answered.
        notes: What the package warned of.
    """

    errors: np.ndarray
    error_name: str
    rejected: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def row_errors(package: Package, table: pl.DataFrame, *, label: str, context: pl.DataFrame | None = None) -> RowErrors:
    """Asks a package all rows of a table, and compares its answers with the labels.

    Args:
        package: The package; for features of further sources, with their tables.
        table: Raw rows with their labels, in the order of time.
        label: Column of the labels.
        context: Earlier rows, which features of history read; None without any.

    Raises:
        RequestError: The table as a whole does not fit the package.
        ValueError: The package does not answer row by row, or there is no such column.
    """
    if label not in table.columns:
        raise ValueError(f"label: there is no column {label!r}; there are: {', '.join(table.columns)}")
    raw = package.predictor.raw_input
    before = context if raw is not None and not raw.by_row and context is not None and len(context) else None
    whole = table if before is None else pl.concat([before, table], how="diagonal_relaxed")
    start = len(whole) - len(table)
    numbers, rejected = np.arange(len(whole)), dict[int, str]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(_TRIES):
            try:
                answer: pl.DataFrame = package.predict(whole[numbers])
                break
            except BadRowsError as error:
                rejected |= {int(numbers[row]): reason for row, reason in error.rows.items()}
                numbers = np.setdiff1d(numbers, list(rejected))
                if not len(numbers):
                    answer = pl.DataFrame()
                    break
        else:
            raise ValueError(f"{package.manifest.name}: rejects further rows each time that it is asked without those")
    answered = numbers[answer[_ROW].to_numpy()] if _ROW in answer.columns else numbers
    if len(answer) != len(answered):
        raise ValueError(
            f"{package.manifest.name}: {len(answer):,} answers to {len(answered):,} rows; only models that answer row "
            "by row can be compared on journalled requests"
        )
    errors = np.full(len(whole), np.nan)
    name = "error"
    if len(answer):
        errors[answered], name = _errors(package, answer, whole[label][answered])
    rejected |= {int(row): "not answered" for row in np.setdiff1d(numbers, answered)}
    return RowErrors(
        errors=errors[start:],
        error_name=name,
        rejected={row - start: reason for row, reason in rejected.items() if row >= start},
        notes=tuple(dict.fromkeys(str(one.message) for one in caught)),
    )


def _errors(package: Package, answer: pl.DataFrame, truth: pl.Series) -> tuple[np.ndarray, str]:
    manifest = package.manifest
    form = answer_form(manifest.outputs, manifest.labels)
    if form is None:
        raise ValueError(f"{manifest.name}: its answers ({manifest.outputs[0].name}) cannot be compared with labels")
    answers = [name for name in answer.columns if name in (LABEL, *(spec.name for spec in manifest.outputs))]
    table = answer.select(pl.col(name).alias(PREDICTION + name) for name in answers).with_columns(truth.alias(OUTCOME))
    points = read_points(table, form)
    outcomes = read_outcomes(table, points, form)
    if form.kind == "classes":
        name = "share of rows of which another class is answered"
        # A label that the model does not know cannot be its answer.
        errors = (points.classes != outcomes.classes).astype(np.float64)  # type: ignore[union-attr]
    else:
        name = "absolute error"
        errors = np.abs(points.numbers - outcomes.numbers)  # type: ignore[operator]
    errors[~points.readable] = np.nan
    sums = np.bincount(points.rows, weights=errors, minlength=len(table))
    return sums / np.maximum(points.counts, 1), name
