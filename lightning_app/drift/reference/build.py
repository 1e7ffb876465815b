"""build_reference: bins, counts and dependence of held-out rows; build_sample: some of them as they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lightning_app.drift.columns.nested import flatten_structs
from lightning_app.drift.columns.plan import ColumnPlan, monitored_columns
from lightning_app.drift.columns.values import column_values, read_column
from lightning_app.drift.reference.bins import Bins, category_bins, number_bins
from lightning_app.drift.reference.counting import sketch_column
from lightning_app.drift.reference.dependence import column_dependence
from lightning_app.drift.reference.reference import ColumnReference, Reference, digest_of_bins
from lightning_app.drift.result import Role

MAX_BLOCKS = 32
SAMPLE_ROWS = 5000
_ROWS_PER_BLOCK = 20


def build_reference(
    table: pl.DataFrame,
    *,
    roles: Mapping[str, Role],
    order: str | None = None,
    importance: Mapping[str, float] | None = None,
    errors: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> Reference:
    """Describes held-out rows, so that windows can be compared with them without having them.

    Args:
        table: Rows as an export of the journal has them: columns of requests, `prediction.NAME`, `outcome`.
        roles: Role of each column to watch; other columns are not looked at.
        order: Column that gives the time order; without one, rows are taken to be in it.
        importance: Share of the model's importance by column.
        errors: Errors of the model on these rows.
        calibration: Calibration of the model on these rows.

    Raises:
        ValueError: The table has no rows or lacks a column.
    """
    if not table.height:
        raise ValueError("a reference needs rows, the table has none")
    for name in (*roles, *([order] if order is not None else [])):
        if name not in table.columns:
            raise ValueError(f"the table has no column {name!r}; it has {', '.join(table.columns)}")
    if order is not None:
        table = table.sort(order, maintain_order=True)
    watched = flatten_structs(table.select(list(roles)))
    plans, left_out = monitored_columns(watched)
    columns = [_column(watched[plan.source], plan, _role(plan.source, roles)) for plan in plans]
    return Reference(
        rows=table.height,
        bins=digest_of_bins([(column.plan, column.bins) for column in columns]),
        order=order,
        columns=columns,
        left_out=left_out,
        importance=None if importance is None else dict(importance),
        errors=None if errors is None else dict(errors),
        calibration=None if calibration is None else dict(calibration),
    )


def build_sample(table: pl.DataFrame, *, rows: int = SAMPLE_ROWS, seed: int = 0) -> pl.DataFrame:
    """Random rows of the reference in their order, for tests of several columns together.

    Args:
        table: The reference.
        rows: Maximum number of rows.
        seed: Seed of the choice.
    """
    if table.height <= rows:
        return table
    chosen = np.random.default_rng(seed).choice(table.height, rows, replace=False)
    return table[np.sort(chosen)]


def _role(source: str, roles: Mapping[str, Role]) -> Role:
    """Role of a column, or of the struct that it is a field of."""
    return next(roles[name] for name in sorted(roles, key=len, reverse=True) if f"{source}.".startswith(f"{name}."))


def _column(series: pl.Series, plan: ColumnPlan, role: Role) -> ColumnReference:
    values = column_values(series, plan)
    if plan.kind == "number":
        numbers = values.values.to_numpy()
        bins = number_bins(numbers[np.isfinite(numbers)])
    else:
        bins = category_bins(values.values)
    sketch = sketch_column(series, plan, bins)
    places = _places(series, plan, bins)
    num_blocks = max(1, min(MAX_BLOCKS, len(places) // _ROWS_PER_BLOCK))
    blocks = np.array_split(places, num_blocks)
    return ColumnReference(
        plan=plan,
        role=role,
        bins=bins,
        sketch=sketch,
        blocks=[np.bincount(block[block >= 0], minlength=bins.count).tolist() for block in blocks],
        block_unusable=[int(np.sum(block < 0)) for block in blocks],
        dependence=column_dependence(places, np.asarray(sketch.counts), plan.kind, num_blocks=num_blocks),
    )


def _places(series: pl.Series, plan: ColumnPlan, bins: Bins) -> npt.NDArray[np.intp]:
    """Bin of each row, -1 for rows in none, [rows]."""
    values = read_column(series, plan)
    assert values is not None
    if bins.categories is None:
        numbers = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return np.where(np.isfinite(numbers), np.searchsorted(bins.edges, numbers, side="right"), -1)
    codes = {category: code for code, category in enumerate(bins.categories)}
    found = values.replace_strict(codes, default=len(codes), return_dtype=pl.Int64)
    return np.where(values.is_null().to_numpy(), -1, found.to_numpy())
