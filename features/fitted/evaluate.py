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
from features.fitted.fitted import Fitted
from features.fitted.learn import learn
from features.fitted.states import BinsState, ImputeState, ScaleState, State, TargetState, TfidfState, VocabularyState
from features.fitted.target import categories_of, encode, encode_training, learn_target, same_rows
from features.fitted.terms import term_vectors
from features.rows.expressions import bucket_number, quotient, row_expression
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
        if any(column in waiting for column in own.values()):
            frame, waiting = frame.with_columns(**waiting), {}
        if not isinstance(feature, FittedFeature):
            waiting[full] = row_expression(feature, own, frame.schema, place=place)
        elif isinstance(feature, TargetEncoding):
            inputs = [frame[column] for column in own.values()]
            values = _target(feature, full, inputs, place=place, fitted=fitted, training=training)
            frame = frame.with_columns(values.alias(full))
        else:
            (column,) = own.values()
            if fitted is None:
                if training is None:
                    raise ValueError(f"{place}: it is learned from training rows; give its fitted state")
                training.learned[full] = learn(feature, frame[column].filter(pl.Series(training.mask)), place=place)
            waiting[full] = fitted_expression(feature, _state(full, fitted, training), column, frame.schema)
    return frame.with_columns(**waiting)


def fitted_expression(feature: FittedFeature, state: State, column: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Expression of a fitted feature of one column.

    Args:
        feature: The feature.
        state: Its state.
        column: Column of the frame.
        schema: Types of the frame's columns.
    """
    values = pl.col(column)
    if isinstance(feature, Scale) and isinstance(state, ScaleState):
        return quotient(values.cast(pl.Float64) - state.center, pl.lit(state.spread))
    if isinstance(feature, Impute) and isinstance(state, ImputeState):
        dtype = schema[column] if feature.by == "most_frequent" else pl.Float64()
        return values.cast(dtype).fill_null(pl.lit(state.value, dtype=dtype))
    if isinstance(feature, QuantileBins) and isinstance(state, BinsState):
        return bucket_number(values.cast(pl.Float64), state.edges)
    if isinstance(feature, Vocabulary) and isinstance(state, VocabularyState):
        return values.map_batches(lambda series: _numbered(series, state), return_dtype=pl.Int64)
    assert isinstance(feature, Tfidf)
    assert isinstance(state, TfidfState)
    return values.map_batches(
        lambda series: term_vectors(series, feature, state), return_dtype=pl.Array(pl.Float32, len(state.idf))
    )


def _numbered(column: pl.Series, state: VocabularyState) -> pl.Series:
    index = {text: number for number, text in enumerate(state.categories, start=2)}
    return map_values(texts_of(column), lambda text: index.get(text, 0), pl.Int64).fill_null(1)


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
