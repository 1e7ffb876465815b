"""Number cells: cells of raw rows, in columns of numbers, that hold none."""

from collections.abc import Iterator, Mapping

import polars as pl

from features.pipeline.needed import event_columns, key_types, request_columns
from features.pipeline.pipeline import FeaturePipeline
from features.sources.types import whole_numbers


def number_problems(
    pipeline: FeaturePipeline, table: pl.DataFrame
) -> Iterator[tuple[str, Mapping[int, str], pl.Series]]:
    """Cells of columns of numbers that hold none, column by column: texts, and fractions among whole numbers.

    Args:
        pipeline: The features.
        table: Raw rows.

    Yields:
        Name of a column, the reason by row, and the column with these cells emptied.
    """
    kinds = dict.fromkeys(key_types(pipeline.definitions, pipeline.features), "")
    wanted = {name: kind for name, (kind, _) in request_columns(pipeline.definitions, pipeline.features).items()}
    own = pipeline.rows.history or pipeline.rows.entities
    if own is not None:
        source = pipeline.definitions.sources[own]
        read = event_columns(pipeline.definitions, pipeline.features).get(own, ())
        wanted |= {name: source.columns[name].type for name in read if name in source.columns}
    for name, kind in wanted.items():
        cells = table.get_column(name, default=None)
        if name in kinds or kind not in ("int", "float") or cells is None:
            continue
        if cells.dtype == pl.String:
            cells = cells.str.strip_chars()
            cells = cells.set(cells == "", None)
        elif kind == "int" and cells.dtype.is_float():
            cells = cells.fill_nan(None)
        else:
            continue
        numbers = whole_numbers(cells) if kind == "int" else cells.cast(pl.Float64, strict=False)
        wrong = numbers.is_null() & cells.is_not_null()
        if not wrong.any():
            continue
        needed = "whole number" if kind == "int" else "number"
        reasons = {row: f"{name}: {table[name][row]!r} is no {needed}" for row in wrong.arg_true().to_list()}
        yield name, reasons, table[name].set(wrong, None)
