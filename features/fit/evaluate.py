"""Evaluation of row and fitted features over rows, in the order in which they read each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.definitions import (
    Definitions,
    FittedFeature,
    HistoryFeature,
    Impute,
    QuantileBins,
    Scale,
    TargetEncoding,
    Tfidf,
    Vocabulary,
)
from features.definitions.columns_read import columns_read
from features.fit.fitted import Fitted
from features.fit.learn import learn
from features.fit.states import BinsState, ImputeState, ScaleState, State, TargetState, TfidfState, VocabularyState
from features.fit.target import categories_of, encode, encode_training, learn_target, same_rows
from features.fit.terms import term_vectors
from features.rows.expressions import bucket_number, row_expression
from features.rows.inputs import input_name
from features.rows.texts import map_values, texts_of


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """Training rows among the rows that are evaluated.

    Attributes:
        mask: Which rows are training rows, bool (n,).
        labels: Labels that target encodings read, Float64 (n,).
        asked: Times of the rows, int64 (n,).
        known: Times at which the labels are known, int64 (n,).
        learned: States learned so far; with `None` in `evaluate`'s `fitted`, they are learned here.
    """

    mask: np.ndarray
    labels: Mapping[str, pl.Series]
    asked: np.ndarray
    known: Mapping[str, np.ndarray]
    learned: dict[str, State] = field(default_factory=dict)


def evaluate(
    definitions: Definitions,
    features: Sequence[str],
    columns: pl.DataFrame,
    *,
    fitted: Fitted | None = None,
    training: TrainingRows | None = None,
) -> pl.DataFrame:
    """Computes row and fitted features.

    Args:
        definitions: The definitions.
        features: Full names, each after those that it reads; features of history among them are passed over.
        columns: Features of history by full name, and the result of `input_columns`.
        fitted: States of fitted features; None learns them from the training rows.
        training: Training rows, which target encodings must keep from their own labels; None if there are none.

    Returns:
        `columns` and the features by full name.

    Raises:
        ValueError: A state is missing or of other definitions, or a column is of the wrong type.
    """
    frame, waiting = columns, dict[str, pl.Expr]()
    if fitted is not None:
        fitted.check(definitions)
    for full in features:
        view, _, name = full.partition(".")
        feature = definitions.views[view].features[name]
        if isinstance(feature, HistoryFeature):
            continue
        own = {column: input_name(column, view, definitions) for column in columns_read(feature)}
        place = f"views.{view}.features.{name}"
        if isinstance(feature, FittedFeature) or any(column in waiting for column in own.values()):
            frame, waiting = frame.with_columns(**waiting), {}
        if isinstance(feature, FittedFeature):
            inputs = [frame[column] for column in own.values()]
            values = _fitted_feature(feature, full, inputs, place=place, fitted=fitted, training=training)
            frame = frame.with_columns(values.alias(full))
        else:
            waiting[full] = row_expression(feature, own, frame.schema, place=place)
    return frame.with_columns(**waiting)


def _fitted_feature(
    feature: FittedFeature,
    full: str,
    inputs: list[pl.Series],
    *,
    place: str,
    fitted: Fitted | None,
    training: TrainingRows | None,
) -> pl.Series:
    if isinstance(feature, TargetEncoding):
        return _target(feature, full, inputs, place=place, fitted=fitted, training=training)
    if fitted is None:
        if training is None:
            raise ValueError(f"{place}: it is learned from training rows; give its fitted state")
        training.learned[full] = learn(feature, inputs[0].filter(pl.Series(training.mask)), place=place)
    state = _state(full, fitted, training)
    return apply(feature, state, inputs[0])


def apply(feature: FittedFeature, state: State, column: pl.Series) -> pl.Series:
    """Applies a fitted feature of one column.

    Args:
        feature: The feature.
        state: Its state.
        column: The values.
    """
    if isinstance(feature, Scale) and isinstance(state, ScaleState):
        return (column.cast(pl.Float64) - state.center) / state.spread
    if isinstance(feature, Impute) and isinstance(state, ImputeState):
        numbers = column if feature.by == "most_frequent" else column.cast(pl.Float64)
        return numbers.fill_null(pl.Series([state.value], dtype=numbers.dtype)[0])
    if isinstance(feature, QuantileBins) and isinstance(state, BinsState):
        numbers = column.cast(pl.Float64)
        return pl.select(bucket_number(pl.lit(numbers), state.edges)).to_series()
    if isinstance(feature, Vocabulary) and isinstance(state, VocabularyState):
        index = {text: number for number, text in enumerate(state.categories, start=2)}
        return map_values(texts_of(column), lambda text: index.get(text, 0), pl.Int64).fill_null(1)
    assert isinstance(feature, Tfidf)
    assert isinstance(state, TfidfState)
    return term_vectors(column, feature, state)


def _target(
    feature: TargetEncoding,
    full: str,
    inputs: list[pl.Series],
    *,
    place: str,
    fitted: Fitted | None,
    training: TrainingRows | None,
) -> pl.Series:
    categories = categories_of(inputs)
    if training is None:
        state = _state(full, fitted, training)
        assert isinstance(state, TargetState)
        return encode(categories, feature, state)
    rows = np.flatnonzero(training.mask)
    own, labels = categories.gather(rows), training.labels[feature.label].gather(rows)
    learned = learn_target(own, labels)
    if not learned.count:
        raise ValueError(f"{place}: the label {feature.label!r} has no value in any training row")
    if fitted is None:
        training.learned[full] = learned
    state = _state(full, fitted, training)
    assert isinstance(state, TargetState)
    if not same_rows(state, learned):
        raise ValueError(f"{place}: the training rows are not those that the fitted state was learned from")
    known = training.known[feature.label]
    among = encode_training(own, labels, feature, asked=training.asked[rows], known=known[rows])
    return encode(categories, feature, learned).scatter(rows, among)


def _state(full: str, fitted: Fitted | None, training: TrainingRows | None) -> State:
    states = fitted.states if fitted is not None else training.learned if training is not None else {}
    if full not in states:
        view, _, name = full.partition(".")
        raise ValueError(
            f"views.{view}.features.{name}: it is learned from training rows, and the state has none of it"
        )
    return states[full]
