"""Findings that need no test, and notes: columns that vanished, changed their type, or cannot be judged."""

from lightning_app.drift.reference.reference import ColumnReference
from lightning_app.drift.reference.sketch import ColumnSketch, NewColumn
from lightning_app.drift.result import ColumnDrift, Finding

_MOST = 0.5
"""Share of the values that are there and cannot be used, above which a column has another type."""


def finding_without_test(reference: ColumnReference, current: ColumnSketch) -> Finding | None:
    """Why a column drifted whatever its numbers are; None if the tests decide.

    Args:
        reference: The column in the reference.
        current: Its sketch in the window.
    """
    if not current.rows:
        return None
    if current.absent == current.rows:
        return None if reference.role == "outcome" else "vanished"
    there = current.count + current.non_finite + current.wrong_type
    if current.wrong_type > _MOST * there:
        return "type"
    if (
        reference.sketch.count
        and current.unknown > _MOST * there
        and _family(reference.plan.dtype) not in map(_family, current.dtypes)
    ):
        return "type"
    return None


def note_of(
    reference: ColumnReference, current: ColumnSketch, *, finding: Finding | None, needed: int, constant: bool
) -> str | None:
    """What a reader of the numbers has to know.

    Args:
        reference: The column in the reference.
        current: Its sketch in the window.
        finding: What was found without a test.
        needed: Rows with a value that the test of its distribution needs.
        constant: Whether the column has one and the same value in both.
    """
    before, dtypes = reference.sketch, " and ".join(current.dtypes)
    if not current.rows:
        return "the window has no rows"
    if finding == "vanished":
        return "the column has vanished"
    if finding == "type":
        return f"the type has changed: {reference.plan.dtype} in the reference, {dtypes} in the window"
    if current.absent == current.rows:
        return "no outcomes yet"
    notes = []
    for count, text in (
        (current.absent, "come without the column"),
        (current.wrong_type, f"have a value that is no {reference.plan.kind}"),
        (current.non_finite, "have NaN or infinity"),
    ):
        if count:
            notes.append(f"{count:,} of {current.rows:,} rows {text}")
    if not before.count:
        notes.append("the reference has no values, so its distribution is not tested")
    elif not current.count:
        notes.append("the window has no values")
    elif min(before.count, current.count) < needed:
        which = "the window" if current.count < needed else "the reference"
        notes.append(
            f"{which} has {min(before.count, current.count):,} values, the test of the distribution needs {needed:,}"
        )
    elif constant:
        notes.append("constant in both")
    return "; ".join(notes) or None


def new_column(name: str, column: NewColumn, rows: int) -> ColumnDrift:
    """A column that the reference does not have.

    Args:
        name: Its name.
        column: What it holds.
        rows: Rows of the window.
    """
    note = f"the column is new: the reference has no {name} ({column.kind})"
    return ColumnDrift(
        column=name, role="input", kind="number" if _family(column.kind) == "number" else "category", rows=rows,
        missing=1 - column.rows / rows, drifted=True, finding="new", note=note,
    )  # fmt: skip


def _family(dtype: str) -> str:
    """What types are exchanged for each other without notice: all numbers, all texts."""
    if dtype.startswith(("Int", "UInt", "Float", "Decimal", "Duration")):
        return "number"
    if dtype.startswith(("String", "Categorical", "Enum")):
        return "text"
    return dtype.partition("(")[0]
