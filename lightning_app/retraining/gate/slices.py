"""Slices of the judged rows: columns with few values, in which a candidate may do harm that the mean hides."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from lightning_app.drift.statistics.multiple_testing import holm
from lightning_app.packaging import Manifest
from lightning_app.retraining.gate.judgement import SliceJudgement
from lightning_app.retraining.gate.paired_test import paired_test

MOST_VALUES = 12
FEWEST_ROWS = 100
MOST_WORSE = 0.1
ALPHA = 0.05
_THIRDS = ("low", "middle", "high")


def slices_of(table: pl.DataFrame, manifest: Manifest, *, label: str, further: Sequence[str] = ()) -> pl.DataFrame:
    """Columns that slice the rows: those that the package reads and have few values, and the label.

    Args:
        table: The rows.
        manifest: Manifest of the package.
        label: Column of the labels; numbers are sliced by thirds.
        further: Columns that slice the rows however many values they have.

    Raises:
        ValueError: There is no column of this name.
    """
    if absent := [name for name in further if name not in table.columns]:
        raise ValueError(f"slices: there is no column {absent[0]!r}; there are: {', '.join(table.columns)}")
    read = [] if manifest.raw_input is None else [column.name for column in manifest.raw_input.columns]
    read = read or [name for spec in manifest.inputs for name in (spec.columns or (spec.name,))]
    slices = {
        name: table[name].cast(pl.String).fill_null("missing")
        for name in dict.fromkeys([*read, *further])
        if name in further or (name in table.columns and name != label and _has_few(table[name]))
    }
    labels = table[label]
    if labels.dtype.is_numeric() and manifest.labels is None:
        values = labels.cast(pl.Float64).to_numpy()
        lower, upper = np.quantile(values, (1 / 3, 2 / 3)) if len(values) else (0.0, 0.0)
        thirds = (values > lower).astype(int) + (values > upper)
        slices[label] = pl.Series([_THIRDS[third] for third in thirds], dtype=pl.String)
    elif not labels.dtype.is_nested():
        slices[label] = labels.cast(pl.String)
    return pl.DataFrame({f"slice.{name}": values for name, values in slices.items()})


def judge_slices(slices: pl.DataFrame, candidate: np.ndarray, champion: np.ndarray) -> list[SliceJudgement]:
    """Compares the errors in each slice that is large enough; those where the candidate is worst come first.

    A slice is harmed if the candidate's error is surely more than 10 % above the champion's, after a correction for the
    number of slices (Holm).

    Args:
        slices: Text columns, see `slices_of`.
        candidate: Errors of the candidate, by row.
        champion: Errors of the champion.
    """
    judged: list[tuple[str, int, float, float, float]] = []
    for column in slices.columns:
        for (value,), rows in slices[[column]].with_row_index("row").group_by(column, maintain_order=True):
            numbers = rows["row"].to_numpy()
            if len(numbers) < FEWEST_ROWS:
                continue
            own, other = candidate[numbers], champion[numbers]
            # The roles are swapped: it is tested whether the champion is better than 1 / (1 + MOST_WORSE).
            result = paired_test(other, own, margin=1 / (1 + MOST_WORSE) - 1)
            name = f"{column.removeprefix('slice.')}={value}"
            judged.append((name, len(numbers), float(other.mean()), float(own.mean()), result.p_value))
    corrected = holm([p_value for *_, p_value in judged])
    found = [
        SliceJudgement(
            name=name,
            rows=rows,
            champion_error=other,
            candidate_error=own,
            p_value=p_value,
            harmed=p_value < ALPHA,
        )
        for (name, rows, other, own, _), p_value in zip(judged, corrected, strict=True)
    ]
    return sorted(found, key=lambda one: (not one.harmed, one.champion_error - one.candidate_error))


def _has_few(values: pl.Series) -> bool:
    fits = values.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) or values.dtype.is_integer()
    return fits and 2 <= values.n_unique() <= MOST_VALUES
