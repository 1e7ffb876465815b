"""Settled outcomes: those of rows so old that hardly any outcome is still to come, fit to be compared as they are."""

import polars as pl

from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.labelled_rows import ages_of
from lightning_app.serving.journal.export.rows import OUTCOME


def settled_outcomes(table: pl.DataFrame, delays: DelayModel, *, now: float) -> pl.DataFrame:
    """Rows without the outcomes of those that are too young.

    Outcomes that come first are not like the others, so that a test of their distribution would find drift in every
    recent window.

    Args:
        table: Answered rows, as `lightning_app.monitoring.windows` reads them.
        delays: How long outcomes take.
        now: Unix seconds.
    """
    if OUTCOME not in table.columns:
        return table
    young = pl.Series(ages_of(table, now=now) < delays.settled_age)
    return table.with_columns(pl.when(young).then(None).otherwise(pl.col(OUTCOME)).alias(OUTCOME))
