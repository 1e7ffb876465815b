"""Split: the latest window judges, and only what a freeze at its begin would have used is trained on."""

import polars as pl
from msgspec import Struct

from lightning_app.retraining.frozen.frozen_set import AVAILABLE, EVENT


class Split(Struct, kw_only=True):
    """Parts of the mature rows.

    Attributes:
        boundary: Begin of the evaluation window.
        train: Rows whose labels were known and final at the boundary.
        evaluation: Rows after the boundary.
        context: Rows before the boundary whose labels were not: an embargo, since a model that was trained at the
            boundary could not have known them. Features of history may read them.
    """

    boundary: pl.Series
    train: pl.DataFrame
    evaluation: pl.DataFrame
    context: pl.DataFrame


def split_in_time(rows: pl.DataFrame, *, window: pl.Expr, mature_after: pl.Expr) -> Split:
    """Splits mature rows.

    Args:
        rows: Mature rows, at least one, in the order of time.
        window: Length of the evaluation window, up to the latest row.
        mature_after: How long outcomes may take.
    """
    boundary = rows.select((pl.col(EVENT).max() - window).alias(EVENT))[EVENT]
    edge = pl.lit(boundary[0], boundary.dtype)
    is_later = pl.col(EVENT) > edge
    was_final = (pl.col(EVENT) + mature_after <= edge) & (pl.col(AVAILABLE) <= edge)
    return Split(
        boundary=boundary,
        train=rows.filter(~is_later & was_final),
        evaluation=rows.filter(is_later),
        context=rows.filter(~is_later & ~was_final),
    )
