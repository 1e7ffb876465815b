"""Points: the single answers of a table of answered rows: a number, quantiles, or probabilities of classes each."""

import numpy as np
import polars as pl
from msgspec import Struct

from lightning_app.drift.answers.answer_form import LABEL, PREDICTION, YES_NO, AnswerForm
from lightning_app.drift.answers.flat import Array, Booleans, Flat, Integers, flat, lists_of, numbers_of


class Points(Struct, kw_only=True):
    """Answers, one element each; a forecast is as many points as it has steps and channels.

    Attributes:
        rows: Row of the table, int64 (P,), ascending.
        counts: Points of each row of the table, int64 (N,).
        readable: Whether the answer is there and fits its form, (P,).
        numbers: The number, of quantiles the one nearest to the median, (P,); None of classes.
        quantiles: Quantiles in the order of the levels, (P, Q); None of other forms.
        probabilities: Of all classes, (P, K); None where only labels are known.
        classes: Index of the answered class, int64 (P,); None of other forms.
        conditions: What is looked up in the facts of held-out rows in place of the answer: of numbers, what errors are
            looked up by, (P,); of classes, probabilities, (P, K). None takes the answer itself.
    """

    rows: Integers
    counts: Integers
    readable: Booleans
    numbers: Array | None = None
    quantiles: Array | None = None
    probabilities: Array | None = None
    classes: Integers | None = None
    conditions: Array | None = None


def read_points(table: pl.DataFrame, form: AnswerForm) -> Points:
    """Takes the answers of a table apart.

    Args:
        table: Answered rows with the columns `prediction.NAME`, as the journal's export names them; cells may be lists.
        form: What is answered.

    Raises:
        ValueError: The table has no column of the answer.
    """
    if form.kind == "classes":
        return _binary(table, form) if form.binary else _classes(table, form)
    if form.kind == "quantiles":
        return _quantiles(table, form)
    column = flat(_column(table, form.name))
    numbers = numbers_of(column.values)
    finite: Booleans = np.isfinite(numbers)
    return Points(rows=column.rows, counts=column.counts, readable=finite, numbers=numbers)


def chosen_points(points: Points, chosen: Booleans) -> Points:
    """Some of the points.

    Args:
        points: All of them.
        chosen: Which ones, (P,).
    """
    parts = {name: getattr(points, name) for name in ("numbers", "quantiles", "probabilities", "classes", "conditions")}
    return Points(
        rows=points.rows[chosen], counts=points.counts, readable=points.readable[chosen],
        **{name: None if values is None else values[chosen] for name, values in parts.items()},
    )  # fmt: skip


def _quantiles(table: pl.DataFrame, form: AnswerForm) -> Points:
    names = [f"q{level:g}" for level in form.levels]
    if all(PREDICTION + name in table.columns for name in names):
        columns = [flat(_column(table, name)) for name in names]
        quantiles = np.stack([numbers_of(column.values) for column in columns], axis=1)
        first: Flat = columns[0]
        rows, counts = first.rows, first.counts
    else:
        whole = flat(_column(table, form.name), keep=1)
        rows, counts = whole.rows, whole.counts
        quantiles, _ = lists_of(whole.values, len(form.levels))
    finite: Booleans = np.asarray(np.isfinite(quantiles).all(axis=1))
    return Points(
        rows=rows, counts=counts, readable=finite, quantiles=quantiles,
        numbers=quantiles[:, form.middle],
    )  # fmt: skip


def _classes(table: pl.DataFrame, form: AnswerForm) -> Points:
    if PREDICTION + form.name in table.columns:
        whole = flat(_column(table, form.name), keep=1)
        probabilities, readable = lists_of(whole.values, len(form.labels))
        classes = np.where(readable, _answered(table, form, whole, probabilities), -1)
        return Points(
            rows=whole.rows, counts=whole.counts, readable=readable, probabilities=probabilities, classes=classes
        )
    named = flat(_column(table, LABEL))
    classes = class_indices(named.values, form.labels)
    return Points(rows=named.rows, counts=named.counts, readable=classes >= 0, classes=classes)


def _answered(table: pl.DataFrame, form: AnswerForm, whole: Flat, probabilities: Array) -> Integers:
    """Classes that were answered, at whatever threshold; the likeliest ones where rows do not say."""
    likeliest = np.nan_to_num(probabilities).argmax(axis=1)
    if PREDICTION + LABEL not in table.columns:
        return likeliest
    named = flat(table[PREDICTION + LABEL])
    if not np.array_equal(named.counts, whole.counts):
        return likeliest
    said = class_indices(named.values, form.labels)
    return np.where(said >= 0, said, likeliest)


def _binary(table: pl.DataFrame, form: AnswerForm) -> Points:
    column = flat(_column(table, form.name))
    second = numbers_of(column.values)
    readable: Booleans = np.asarray((second >= 0) & (second <= 1))
    return Points(
        rows=column.rows, counts=column.counts, readable=readable,
        probabilities=np.stack([1 - second, second], axis=1), classes=np.where(readable, second > 0.5, -1).astype(int),
    )  # fmt: skip


def class_indices(values: pl.Series, labels: tuple[str, ...]) -> Integers:
    """Places of values among labels; -1 where a value is null or no label.

    A number is the label that reads as it, true and false are labels of these names in any case, or else 1 and 0.

    Args:
        values: Texts, numbers, or true and false.
        labels: Names of the classes.
    """
    if values.dtype == pl.Boolean:
        lower = [label.lower() for label in labels]
        names = ("false", "true") if {"false", "true"} <= set(lower) else ("0", "1")
        places = {truth: lower.index(name) if name in lower else -1 for truth, name in zip((False, True), names)}  # noqa: B905
        return values.replace_strict(places, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    if values.dtype.is_numeric():
        known = {number: place for place, label in enumerate(labels) if (number := _number(label)) is not None}
        if labels == YES_NO:
            known = {0.0: 0, 1.0: 1}
        if not known:
            return np.full(len(values), -1, dtype=np.int64)
        numbers = values.cast(pl.Float64)
        return numbers.replace_strict(known, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    if values.dtype != pl.String:
        return np.full(len(values), -1, dtype=np.int64)
    of_text = {label: place for place, label in enumerate(labels)}
    return values.replace_strict(of_text, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _column(table: pl.DataFrame, name: str) -> pl.Series:
    if PREDICTION + name not in table.columns:
        raise ValueError(f"{PREDICTION}{name}: the rows have no such column, so their answers cannot be judged")
    return table[PREDICTION + name]
