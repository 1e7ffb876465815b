"""multivariate_drift: a sample of the reference beside a window, all columns together; p-values by permutation."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from msgspec.structs import replace

from lightning_app.drift.columns.nested import flatten_structs
from lightning_app.drift.columns.values import read_column
from lightning_app.drift.multivariate.design import PermutationDesign, permutation_design
from lightning_app.drift.multivariate.domain_classifier import classifier_test
from lightning_app.drift.multivariate.embedded_columns import embedded_columns
from lightning_app.drift.multivariate.encoding import Encoding, encode
from lightning_app.drift.multivariate.mmd import mmd_test
from lightning_app.drift.reference.reference import ColumnReference, Reference
from lightning_app.drift.result import DriftSettings, MultivariateDrift

_DOUBT = 10
"""Independent references of which one, at most, is taken to have dependent rows."""


def multivariate_drift(
    reference: Reference, sample: pl.DataFrame, current: pl.DataFrame, *, settings: DriftSettings
) -> tuple[MultivariateDrift, ...]:
    """Tests all columns of requests together, and each column of texts, vectors, sequences or graphs.

    P-values are not corrected: `drift_report` does that, with those of single columns.

    Args:
        reference: Held-out rows of the package: how columns are watched, and how rows depend on those before them.
        sample: Some of these rows, in time order.
        current: The window, in time order.
        settings: How drift is judged.
    """
    if not settings.multivariate:
        return ()
    before, now = flatten_structs(sample), flatten_structs(current)
    columns = [
        column for column in reference.columns if _is_compared(column, settings) and column.plan.source in before
    ]
    chosen = [column for column in columns if column.role == "input"] or columns
    left_out = sorted({column.plan.source for column in chosen if column.plan.source not in now.columns})
    chosen = [column for column in chosen if column.plan.source in now.columns]
    design = _design(reference, columns, before.height, now.height, settings)
    if isinstance(design, str):
        return tuple(_untested(name, now.height, design) for name in ("domain_classifier", "mmd")) if chosen else ()
    notes = [_blocks(design)] if max(design.block_rows) > 1 else []
    if left_out:
        notes.append(f"without {', '.join(left_out)}, which the window does not have")
    before, now = before[design.reference], now[design.current]
    results = list(_together(chosen, before, now, design, notes, settings))
    sources = {column.plan.source: column for column in columns if column.plan.source in now.columns}
    for name, found in embedded_columns([column.plan for column in sources.values()], before, now).items():
        if isinstance(found, str):
            results.append(_untested(f"embedding:{name}", now.height, found))
            continue
        pooled = {
            part: pl.Series(part, found.values[:, place], nan_to_null=True) for place, part in enumerate(found.names)
        }
        results.append(
            _embedding(f"embedding:{name}", encode(pooled), design, [*notes[:1], found.note or ""], settings)
        )
    return tuple(results)


def _is_compared(column: ColumnReference, settings: DriftSettings) -> bool:
    return column.role != "outcome" and not {column.plan.name, column.plan.source} & set(settings.ignore)


def _design(
    reference: Reference, columns: list[ColumnReference], sample_rows: int, rows: int, settings: DriftSettings
) -> PermutationDesign | str:
    """Permutations that respect the column whose rows depend most on those before them."""
    fits = [fit for column in columns for fit in column.dependence.leading]
    chance = np.sqrt(2 * np.log(_DOUBT * max(1, len(fits))) / reference.rows)  # the largest of so many, if independent
    fits = [fit for fit in fits if fit.block_factor > 1 or max(map(abs, fit.lags), default=0.0) > chance]
    now = max((fit.design_effect(rows) for fit in fits), default=1.0) if rows else 1.0
    before = max((fit.design_effect(reference.rows) for fit in fits), default=1.0)
    before = 1 + (before - 1) * min(1.0, sample_rows / reference.rows)
    return permutation_design(
        sample_rows, rows, reference_effect=max(1.0, before), current_effect=max(1.0, now), seed=settings.seed
    )  # fmt: skip


def _together(
    chosen: list[ColumnReference], before: pl.DataFrame, now: pl.DataFrame, design: PermutationDesign,
    notes: list[str], settings: DriftSettings,
) -> Iterator[MultivariateDrift]:  # fmt: skip
    columns = {}
    for column in chosen:
        parts = [read_column(table[column.plan.source], column.plan) for table in (before, now)]
        if (first := parts[0]) is not None and (second := parts[1]) is not None:
            dtype = pl.Float64 if column.plan.kind == "number" else pl.String
            columns[column.plan.name] = pl.concat([first.cast(dtype), second.cast(dtype).rename(first.name)])
    encoding = encode(columns)
    if encoding.constant:
        notes = [*notes, f"without {', '.join(encoding.constant)}: constant"]
    if not encoding.names:
        if columns:
            yield _untested("domain_classifier", len(now), "all columns are constant")
            yield _untested("mmd", len(now), "all columns are constant")
        return
    if len(encoding.names) < 2:
        return  # the tests of single columns say it
    note = "; ".join(notes) or None
    area, p_value, names = classifier_test(encoding, design, seed=settings.seed)
    yield MultivariateDrift(
        name="domain_classifier", statistic=area, p_value=p_value, rows=len(now), note=note,
        columns=names if p_value <= settings.alpha else (),
    )  # fmt: skip
    statistic, p_value = mmd_test(encoding.matrix, design, seed=settings.seed)
    yield MultivariateDrift(name="mmd", statistic=statistic, p_value=p_value, rows=len(now), note=note)


def _embedding(
    name: str, encoding: Encoding, design: PermutationDesign, notes: list[str], settings: DriftSettings
) -> MultivariateDrift:
    """Both tests of one column; the smaller p-value counts twice."""
    rows = int(np.sum(design.row_labels[0]))
    if not encoding.names:
        return _untested(name, rows, "all values are alike")
    area, p_classifier, names = classifier_test(encoding, design, seed=settings.seed)
    _, p_mmd = mmd_test(encoding.matrix, design, seed=settings.seed)
    p_value = min(1.0, 2 * min(p_classifier, p_mmd))
    result = MultivariateDrift(
        name=name, statistic=area, p_value=p_value, rows=rows, note="; ".join(filter(None, notes)) or None
    )
    return replace(result, columns=names if p_value <= settings.alpha else ())


def _untested(name: str, rows: int, note: str) -> MultivariateDrift:
    return MultivariateDrift(name=name, statistic=None, p_value=None, rows=rows, note=note)


def _blocks(design: PermutationDesign) -> str:
    before, now = design.block_rows
    return f"rows depend on those before them: blocks of {before} (reference) and {now} rows are exchanged"
