"""Row errors: the error of each answered row with an outcome, in the order of the requests."""

import numpy as np
import polars as pl

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array
from lightning_app.drift.answers.held_out import HeldOutFacts
from lightning_app.monitoring.quality.delays import labelled
from lightning_app.monitoring.quality.labelled_rows import labelled_rows
from lightning_app.monitoring.report.structs import Window
from lightning_app.serving.journal.export.rows import META


def row_errors(
    table: pl.DataFrame, form: AnswerForm, *, window: Window, within: float, now: float
) -> tuple[Array, Array]:
    """Errors of rows: shares of wrong classes, or mean absolute errors of numbers.

    Rows that a fallback answered, without an outcome, or whose outcome came too late are left out.

    Args:
        table: Rows of one version, as `lightning_app.monitoring.windows` reads them.
        form: What is answered.
        window: Rows that are taken, by the time of their requests.
        within: Latest delay of an outcome, seconds.
        now: Unix seconds.

    Returns:
        times: Of the requests, ascending, Unix seconds, (N,).
        errors: (N,).

    Raises:
        ValueError: The table has no column of the answer.
    """
    table = table.with_columns((pl.col(META + "time").dt.timestamp("us") / 1e6).alias(_SECONDS))
    table = table.filter((pl.col(_SECONDS) >= window.since) & (pl.col(_SECONDS) < window.until))
    rows = labelled_rows(table.sort(_SECONDS, maintain_order=True), form, now=now, within=within)
    assert rows.points is not None
    assert rows.outcomes is not None
    # A row whose reward alone is known has no error.
    has_outcome = np.bincount(rows.points.rows[rows.outcomes.known], minlength=len(rows)) > 0
    known = has_outcome & labelled(rows.delays, within) & np.isfinite(rows.delays.errors)
    return rows.table[_SECONDS].to_numpy()[known], rows.delays.errors[known]


def typical_error(held_out: HeldOutFacts | None) -> float | None:
    """Mean absolute error of numbers on the held-out rows; None if it is not known.

    Args:
        held_out: What the held-out rows say.
    """
    if held_out is None or held_out.errors is None:
        return None
    counts = np.asarray(held_out.errors.counts, dtype=float)
    mean = float(np.dot(counts, held_out.errors.means["absolute"])) / max(float(counts.sum()), 1.0)
    return mean if np.isfinite(mean) and mean > 0 else None


_SECONDS = META + "seconds"
