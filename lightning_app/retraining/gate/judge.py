"""Judge: champion and candidate answer the same labelled rows, and the candidate has to be better by the margin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from lightning_app.packaging import Package
from lightning_app.retraining.frozen.frozen_set import EVENT
from lightning_app.retraining.gate.alpha_spending import Look, Spending, spend
from lightning_app.retraining.gate.judgement import Judgement
from lightning_app.retraining.gate.paired_test import PairedResult, paired_test
from lightning_app.retraining.gate.row_errors import RowErrors, row_errors
from lightning_app.retraining.gate.slices import judge_slices, slices_of

MOST_REJECTED = 0.01
"""Share of rows that the champion answers and the candidate may reject."""


@dataclass(frozen=True)
class Comparison:
    """What the gate measured.

    Attributes:
        judgement: The judgement.
        champion_errors: By row, as `Registry.add_evaluation` takes it: `row`, `error`, and a column per slice.
        candidate_errors: The same of the candidate.
    """

    judgement: Judgement
    champion_errors: pl.DataFrame
    candidate_errors: pl.DataFrame


def judge(
    champion: Package,
    candidate: Package,
    evaluation: pl.DataFrame,
    *,
    label: str,
    alpha: float,
    margin: float = 0.0,
    earlier: Sequence[Look] = (),
    context: pl.DataFrame | None = None,
    minimum_rows: int = 1,
    slices: Sequence[str] = (),
) -> Comparison:
    """Compares two packages on rows that neither was trained on.

    Args:
        champion: The champion; for features of further sources, with their tables.
        candidate: The candidate, likewise.
        evaluation: Labelled raw rows in the order of time, see `FrozenSet.evaluation`.
        label: Column of the labels.
        alpha: Probability with which this champion may ever be replaced without cause, see `alpha_spending`.
        margin: How much worse the candidate may be, relative; below 0 it has to be better.
        earlier: Candidates that were judged against this champion before, the first one first: `Judgement.look`.
        context: Earlier rows, which features of history read.
        minimum_rows: Rows that both have to answer.
        slices: Further columns in which the candidate must do no harm, beside those that the package reads.

    Raises:
        RequestError: One of them cannot read the table as a whole.
        ValueError: One of them does not answer row by row, or there is no such column.
    """
    theirs = row_errors(champion, evaluation, label=label, context=context)
    own = row_errors(candidate, evaluation, label=label, context=context)
    sliced = slices_of(evaluation, candidate.manifest, label=label, further=slices)
    both = np.isfinite(own.errors) & np.isfinite(theirs.errors)
    block = max(champion.manifest.block, candidate.manifest.block)
    result = paired_test(own.errors[both], theirs.errors[both], margin=margin, block=block)
    parts = judge_slices(sliced.filter(pl.Series(both)), own.errors[both], theirs.errors[both]) if both.any() else []
    since, until = _span(evaluation)
    looks = [*earlier, Look(p_value=result.p_value, since=since, until=until)]
    spending = spend(alpha, looks)
    new = len(own.rejected.keys() - theirs.rejected.keys())
    harmed = [part.name for part in parts if part.harmed]
    passed, reason = _verdict(result, spending, margin, new, len(evaluation), harmed, minimum_rows)
    judgement = Judgement(
        passed=passed,
        reason=reason,
        number=len(looks),
        alpha=spending.alpha,
        evidence=spending.evidence,
        evidence_needed=spending.evidence_needed,
        margin=margin,
        p_value=result.p_value,
        error_name=own.error_name,
        champion_error=_mean(theirs.errors[both]),
        candidate_error=_mean(own.errors[both]),
        ratio=_finite(result.ratio),
        low=_finite(result.low),
        high=_finite(result.high),
        since=since,
        until=until,
        rows=result.rows,
        rows_needed=max(result.rows_needed, minimum_rows),
        rejected_by_champion=len(theirs.rejected),
        rejected_by_candidate=len(own.rejected),
        block=result.block,
        slices=tuple(parts),
        notes=_notes(theirs, own),
    )
    return Comparison(judgement, _error_table(theirs, sliced), _error_table(own, sliced))


def _verdict(
    result: PairedResult,
    spending: Spending,
    margin: float,
    new_rejections: int,
    num_rows: int,
    harmed: Sequence[str],
    minimum_rows: int,
) -> tuple[bool, str]:
    change = f"error {result.ratio - 1:+.1%} ({result.low - 1:+.1%} to {result.high - 1:+.1%}) on {result.rows:,} rows"
    if result.rows < max(result.rows_needed, minimum_rows):
        needed = max(result.rows_needed, minimum_rows)
        return False, f"{result.rows:,} rows that both answer, {needed:,} are needed"
    if new_rejections > MOST_REJECTED * num_rows:
        return (
            False,
            f"rejects {new_rejections:,} of {num_rows:,} rows that the champion answers; at most 1 % are allowed",
        )
    bar = f"p {result.p_value:.2g}, {spending.alpha:.2g} is needed"
    if spending.evidence is not None:
        bar = f"{bar}, or evidence {spending.evidence_needed:g} of all candidates: {spending.evidence:.3g}"
    if margin:
        bar = f"{bar}; margin {margin:+.1%}"
    if not spending.passes(result.p_value):
        return False, f"{change}: not surely better than the champion ({bar})"
    if harmed:
        return False, f"{change}, but it is more than 10 % worse where {', '.join(harmed[:3])}"
    return True, f"{change} ({bar})"


def _span(table: pl.DataFrame) -> tuple[float | None, float | None]:
    """First and last event of the rows, Unix seconds."""
    if EVENT not in table.columns or table.is_empty():
        return None, None
    first, last = table[EVENT].min(), table[EVENT].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return first.timestamp(), last.timestamp()


def _error_table(errors: RowErrors, slices: pl.DataFrame) -> pl.DataFrame:
    table = pl.DataFrame({"row": np.arange(len(errors.errors), dtype=np.int64), "error": errors.errors})
    return table.hstack(slices).filter(pl.col("error").is_finite())


def _notes(champion: RowErrors, candidate: RowErrors) -> tuple[str, ...]:
    notes = []
    for name, errors in (("champion", champion), ("candidate", candidate)):
        if errors.rejected:
            first = min(errors.rejected)
            notes.append(f"{name}: {len(errors.rejected):,} rows not answered; row {first}: {errors.rejected[first]}")
        notes += [f"{name}: {note}" for note in errors.notes]
    return tuple(notes)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
