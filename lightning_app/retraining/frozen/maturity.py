"""Maturity: which labels were known and final at the cut, and why other rows are left out.

Each row has three clocks: when it happened (event), when its label became known (available), and when its label is
final (mature: the event and `mature_after`). Only mature rows are used, also of those whose outcome has come already:
what comes early is often of one kind (who cancels says so at once), and young rows would consist of that kind.
"""

from collections.abc import Sequence

import polars as pl
from msgspec import Struct

from lightning_app.retraining.config.policy import CENSORED, DataPolicy
from lightning_app.retraining.frozen.errors import FreezeError
from lightning_app.retraining.frozen.frozen_set import AVAILABLE, EVENT
from lightning_app.retraining.frozen.labelled_rows import (
    META,
    OUTCOME,
    OUTCOME_TIME,
    PROBABILITY,
    REQUEST_ID,
    ROW,
    TIME,
    request_columns,
)

_REASON, _PLACE = f"{META}reason", f"{META}place"


class MatureRows(Struct, kw_only=True):
    """Rows that may be used.

    Attributes:
        table: Columns of the requests, what is known of the rows, and the label under its name; in the order of time.
        left_out: Other rows, by reason.
        corrected: Rows whose label was corrected after it had become known.
    """

    table: pl.DataFrame
    left_out: dict[str, int]
    corrected: int


def mature_rows(
    rows: pl.DataFrame, data: DataPolicy, *, cut: pl.Expr, mature_after: pl.Expr, oldest: pl.Expr | None
) -> MatureRows:
    """Chooses the rows whose labels are final.

    Args:
        rows: Labelled rows, those of the journal first.
        data: What a missing outcome means, and which rows are wanted.
        cut: Time of the cut.
        mature_after: How long outcomes may take.
        oldest: First event that is used; None for all.

    Raises:
        FreezeError: The outcomes and the value of missing ones are of different types.
    """
    rows = rows.with_row_index(_PLACE)
    rows, duplicates, corrected = _one_each(rows, cut, mature_after)
    from_journal = pl.col(PROBABILITY).is_not_null()
    is_known = pl.col(OUTCOME).is_not_null() & (pl.coalesce(OUTCOME_TIME, pl.col(EVENT) + mature_after) <= cut)
    is_mature = pl.col(EVENT) + mature_after <= cut
    is_filled = from_journal & pl.lit(data.missing_outcome != CENSORED)
    columns = [name for name in request_columns(rows) if name not in (_PLACE, "time", data.time)]
    reasons: list[tuple[pl.Expr, str]] = [
        (
            pl.all_horizontal(pl.col(columns).is_null()) if columns else pl.lit(value=False),
            "outcome of an unknown request",
        ),
        (pl.col(EVENT).is_null(), "without time"),
    ]
    if data.exploration_only:
        reasons.append((~(pl.col(PROBABILITY) < 1).fill_null(value=False), "arm not drawn at random"))
    if oldest is not None:
        reasons.append((pl.col(EVENT) < oldest, "older than train_window"))
    reasons += [
        (~is_mature & is_known, "not mature, with outcome"),
        (~is_mature, "not mature"),
        (~is_known & ~is_filled & pl.col(OUTCOME).is_not_null(), "outcome after the cut"),
        (~is_known & ~is_filled, "mature without outcome"),
    ]
    judged = rows.with_columns(_first(reasons).alias(_REASON))
    counts = dict(judged.drop_nulls(_REASON).group_by(_REASON).len().sort(_REASON).iter_rows())
    if duplicates:
        counts["duplicate"] = duplicates
    kept = judged.filter(pl.col(_REASON).is_null()).with_columns(
        pl.when(is_known).then(OUTCOME).alias(OUTCOME),
        pl.when(is_known)
        .then(pl.coalesce(OUTCOME_TIME, pl.col(EVENT) + mature_after))
        .otherwise(pl.col(EVENT) + mature_after)
        .alias(AVAILABLE),
    )
    if data.missing_outcome != CENSORED:
        kept = kept.with_columns(_filled(kept[OUTCOME], data).alias(OUTCOME))
    if kept[OUTCOME].dtype.is_float() and not kept[OUTCOME].is_finite().all():
        raise FreezeError("data.outcome: some outcomes are no finite numbers")
    in_time = kept.sort(EVENT, TIME, REQUEST_ID, ROW, _PLACE, nulls_last=False, maintain_order=True)
    final = in_time.drop(_PLACE, _REASON, OUTCOME_TIME).rename({OUTCOME: data.outcome})
    return MatureRows(table=final, left_out=counts, corrected=corrected)


def _one_each(rows: pl.DataFrame, cut: pl.Expr, mature_after: pl.Expr) -> tuple[pl.DataFrame, int, int]:
    """One record for each row of a request, with the label that became known last up to the cut.

    One without time is a correction of a table that does not say when it was made; it replaces that of the journal.
    """
    named, others = rows.filter(pl.col(REQUEST_ID).is_not_null()), rows.filter(pl.col(REQUEST_ID).is_null())
    key = [REQUEST_ID, ROW]
    several = named.filter(pl.struct(key).is_duplicated())
    if several.is_empty():
        return rows, 0, 0
    first = several.unique(key, keep="first", maintain_order=True)
    moments = pl.coalesce(OUTCOME_TIME, pl.col(EVENT))
    labelled = several.filter(pl.col(OUTCOME).is_not_null() & (moments <= cut).fill_null(value=True))
    last = (
        labelled.sort(OUTCOME_TIME, _PLACE, nulls_last=True)
        .unique(key, keep="last", maintain_order=True)
        .select(*key, OUTCOME, OUTCOME_TIME)
    )
    corrected = labelled.group_by(key).agg(pl.col(OUTCOME).n_unique().alias("values")).filter(pl.col("values") > 1)
    joined = first.join(last, on=key, how="left", suffix=" last").with_columns(
        pl.coalesce(f"{OUTCOME} last", OUTCOME).alias(OUTCOME),
        pl.coalesce(f"{OUTCOME_TIME} last", pl.max_horizontal(OUTCOME_TIME, pl.col(EVENT) + mature_after)).alias(
            OUTCOME_TIME
        ),
    )
    single = named.filter(~pl.struct(key).is_duplicated())
    whole = pl.concat([single, joined.select(rows.columns), others]).sort(_PLACE)
    return whole, len(several) - len(first), len(corrected)


def _first(reasons: Sequence[tuple[pl.Expr, str]]) -> pl.Expr:
    """The first reason that applies; null if none does."""
    expression = pl.lit(None, pl.String)
    for applies, reason in reversed(reasons):
        expression = pl.when(applies).then(pl.lit(reason)).otherwise(expression)
    return expression


def _filled(outcomes: pl.Series, data: DataPolicy) -> pl.Series:
    value = pl.Series([data.missing_outcome])
    kind = outcomes.dtype
    if kind == pl.Null or (kind.is_integer() and value.dtype.is_float()):
        kind = value.dtype
    elif kind != value.dtype and not (kind.is_numeric() and value.dtype.is_numeric()):
        raise FreezeError(
            f"data.missing_outcome: {data.missing_outcome!r} given, the outcomes are {kind}; give one such"
        )
    return outcomes.cast(kind).fill_null(value.cast(kind)[0])
