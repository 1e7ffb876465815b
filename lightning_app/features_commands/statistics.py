"""Statistics of features over a table: missing values and why, quantiles of numbers, top values of categories."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from features.batch.training_table import public_names

_TOP = 5
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def statistics(table: pl.DataFrame, features: tuple[str, ...]) -> Mapping[str, dict[str, Any]]:
    """Describes features.

    Args:
        table: Features of rows with their reasons, as `training_table` returns them.
        features: Full names.

    Returns:
        By full name: `rows`, `missing`, `reasons`, and `mean`, `std`, `quantiles` of numbers, or `distinct` and `top`.
    """
    described = {}
    for full, public in public_names(features).items():
        column = table[public]
        facts: dict[str, Any] = {"rows": len(column), "missing": column.null_count()}
        if f"{public}__reason" in table.columns and column.null_count():
            reasons = table[f"{public}__reason"].value_counts(sort=True, name="count").rows()
            facts["reasons"] = {reason: count for reason, count in reasons if reason != "present"}
        known = column.drop_nulls()
        if column.dtype.is_numeric() and len(known):
            facts |= {"mean": known.mean(), "std": known.std()}
            facts["quantiles"] = {f"{share:g}": known.quantile(share, "linear") for share in _QUANTILES}
        elif not column.dtype.is_nested() and len(known):
            counts = known.value_counts(sort=True, name="count").rows()
            facts |= {"distinct": len(counts), "top": {str(value): count for value, count in counts[:_TOP]}}
        described[full] = facts
    return described


def as_lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Statistics of one feature as pairs of a name and a text.

    Args:
        facts: Its statistics.
    """
    share = facts["missing"] / facts["rows"] if facts["rows"] else 0.0
    why = ", ".join(f"{reason} {count:,}" for reason, count in facts.get("reasons", {}).items())
    lines = [
        ("rows", f"{facts['rows']:,}"),
        ("missing", f"{facts['missing']:,} ({share:.1%})" + (f": {why}" if why else "")),
    ]
    if "quantiles" in facts:
        spread = "" if facts["std"] is None else f" (std {facts['std']:.4g})"
        lines.append(("mean", f"{facts['mean']:.4g}{spread}"))
        quantiles = [f"{100 * float(share):g} %: {value:.4g}" for share, value in facts["quantiles"].items()]
        lines.append(("quantiles", ", ".join(quantiles)))
    if "top" in facts:
        lines.append(("top values", ", ".join(f"{value} ({count:,})" for value, count in facts["top"].items())))
        lines.append(("distinct", f"{facts['distinct']:,}"))
    return lines
