"""Outcomes of points: true numbers or classes beside the answers; those that do not fit are counted by reason."""

from collections import Counter

import numpy as np
import polars as pl
from msgspec import Struct

from lightning_app.drift.answers.answer_form import OUTCOME, AnswerForm
from lightning_app.drift.answers.flat import Array, Booleans, Integers, flat, numbers_of
from lightning_app.drift.answers.points import Points, class_indices


class Outcomes(Struct, kw_only=True):
    """True values, one element for each point.

    Attributes:
        known: Whether the true value is known, and fits, (P,).
        numbers: True numbers, (P,); None of classes.
        classes: Index of the true class, int64 (P,); None of numbers.
        misfits: Number of outcomes that do not fit the task, by reason.
    """

    known: Booleans
    numbers: Array | None
    classes: Integers | None
    misfits: dict[str, int]


def read_outcomes(table: pl.DataFrame, points: Points, form: AnswerForm, *, column: str = OUTCOME) -> Outcomes:
    """Joins the outcomes of rows to the points of their answers.

    The outcome of a row with several points is a list, nested as the answer is; null stands for a point whose outcome
    is not known yet.

    Args:
        table: Answered rows with a column of outcomes; without it, no outcome is known.
        points: Answers of these rows.
        form: What is answered.
        column: Name of the column.
    """
    num_points, misfits = len(points.rows), Counter[str]()
    known = np.zeros(num_points, dtype=bool)
    is_class = form.kind == "classes"
    values: Array | Integers = np.full(num_points, -1) if is_class else np.full(num_points, np.nan)
    if column in table.columns and table[column].dtype != pl.Null:
        given = flat(table[column])
        counts = given.counts.copy()
        has_any = np.bincount(given.rows, weights=given.values.is_not_null().to_numpy(), minlength=len(counts)) > 0
        fits = has_any & (counts == points.counts)
        for wanted, size in _sizes(points.counts, counts, has_any & ~fits).items():
            misfits[f"{_outcomes_of(wanted[1])} for an answer of {wanted[0]:,}"] += size
        taken = given.values.filter(pl.Series(fits[given.rows])) if not fits.all() else given.values
        of_points = fits[points.rows]
        read, is_known = _classes(taken, form, misfits) if is_class else _numbers(taken, misfits)
        values[of_points], known[of_points] = read, is_known
    return Outcomes(
        known=known & points.readable,
        numbers=None if is_class else np.asarray(values, dtype=np.float64),
        classes=np.asarray(values, dtype=np.int64) if is_class else None,
        misfits=dict(misfits),
    )


def _numbers(values: pl.Series, misfits: Counter[str]) -> tuple[Array, Booleans]:
    given = values.is_not_null().to_numpy()
    if values.dtype == pl.Boolean:
        misfits["true or false for a number"] += int(given.sum())
        return np.full(len(values), np.nan), np.zeros(len(values), dtype=bool)
    numbers = numbers_of(values)
    finite = np.isfinite(numbers)
    if wrong := int((given & ~finite).sum()):
        misfits["no number" if values.dtype.is_numeric() else "text for a number"] += wrong
    return numbers, finite


def _classes(values: pl.Series, form: AnswerForm, misfits: Counter[str]) -> tuple[Integers, Booleans]:
    classes = class_indices(values, form.labels)
    wrong = values.is_not_null().to_numpy() & (classes < 0)
    if wrong.any():
        counted = values.filter(pl.Series(wrong)).cast(pl.String, strict=False).value_counts(sort=True)
        for text, count in counted.head(_SHOWN).iter_rows():
            misfits[f"unknown label {text!r}"] += int(count)
        if rest := int(wrong.sum()) - int(counted.head(_SHOWN)["count"].sum()):
            misfits["other unknown labels"] += rest
    return classes, classes >= 0


_SHOWN = 5


def _sizes(answers: Integers, outcomes: Integers, wrong: Booleans) -> dict[tuple[int, int], int]:
    if not wrong.any():
        return {}
    pairs, counts = np.unique(np.stack([answers[wrong], outcomes[wrong]], axis=1), axis=0, return_counts=True)
    shown = {(int(pair[0]), int(pair[1])): int(count) for pair, count in zip(pairs[:_SHOWN], counts, strict=False)}
    return shown | ({(int(pairs[_SHOWN][0]), -1): int(counts[_SHOWN:].sum())} if len(pairs) > _SHOWN else {})


def _outcomes_of(size: int) -> str:
    return "lists of other lengths" if size < 0 else "one value" if size == 1 else f"a list of {size:,}"
