"""Root cause: columns and slices that moved beyond chance, weighted by how much the model depends on them."""

from collections.abc import Mapping, Sequence

from lightning_app.drift.result import ColumnDrift, DriftResult
from lightning_app.monitoring.report.structs import Cause, QualityResult

_LEAST_SHARE = 0.02
"""Slices that gained or lost fewer rows are no cause of what all rows show."""


def causes(drift: DriftResult, slices: Mapping[str, float], quality: Sequence[QualityResult]) -> tuple[Cause, ...]:
    """What moved, the likeliest cause first.

    Args:
        drift: Drift of a version.
        slices: Share of all rows that each slice gained or lost, beside the reference.
        quality: Quality of the version, of all rows and by slice.
    """
    found = [_of_column(column) for column in drift.columns if column.drifted and column.role == "input"]
    found += [_of_slice(name, change, quality) for name, change in slices.items() if abs(change) >= _LEAST_SHARE]
    return tuple(sorted(found, key=lambda one: (-one.score, one.name)))


def slice_changes(column: ColumnDrift) -> dict[str, float]:
    """Share of all rows that each value of a category gained or lost.

    Args:
        column: Drift of the category.
    """
    before, now = sum(column.reference_counts), sum(column.current_counts)
    if not before or not now:
        return {}
    return {
        f"{column.column}={label}": current / now - reference / before
        for label, reference, current in zip(column.labels, column.reference_counts, column.current_counts, strict=True)
    }


def _of_column(column: ColumnDrift) -> Cause:
    beyond = max(0.0, (column.psi or 0.0) - (column.psi_expected or 0.0))
    vanished = column.missing - column.missing_reference
    size = max(beyond, vanished)
    # A column of unknown importance counts like one that a twentieth of the skill rests on.
    weight = 0.05 if column.importance is None else column.importance
    return Cause(
        name=column.column,
        kind="column",
        drift=column.psi or 0.0,
        importance=column.importance,
        score=size * weight,
        text=_column_text(column),
    )


def _column_text(column: ColumnDrift) -> str:
    said = {}
    if column.note:
        said["note"] = column.note
    if column.mean is not None and column.mean_reference is not None:
        said["distribution"] = f"mean {column.mean:.4g}, was {column.mean_reference:.4g}"
    if abs(column.missing - column.missing_reference) >= 0.005:
        said["missing"] = f"{column.missing:.1%} missing, was {column.missing_reference:.1%}"
    if column.unknown:
        said["unknown"] = f"{column.unknown:.1%} unknown categories"
    parts = [said[what] for what in sorted(said, key=lambda what: (what != "note", what != column.finding))]
    if column.psi is not None:
        parts.append(f"PSI {column.psi:.3f}")
    if column.importance is not None:
        parts.append(f"{column.importance:.0%} of the model's skill")
    return f"{column.column}: {'; '.join(parts)}"


def _of_slice(name: str, change: float, quality: Sequence[QualityResult]) -> Cause:
    gained = "more" if change > 0 else "less"
    text = f"{name}: {abs(change):.1%} of all rows {gained} than in the reference"
    main = {one.slice: one.metrics[0] for one in quality if one.metrics and one.arm is None}
    worse = 0.0
    if name in main and None in main and main[name].value is not None and main[None].value:
        here, whole = main[name].value, main[None].value
        assert here is not None
        assert whole is not None
        text += f"; {main[name].metric} {here:.4g}, of all rows {whole:.4g}"
        worse = abs(here - whole) / abs(whole)
    return Cause(
        name=name, kind="slice", drift=change, importance=None, score=abs(change) * (0.05 + min(worse, 1.0)), text=text
    )
