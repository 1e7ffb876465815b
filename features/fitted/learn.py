"""Learning of fitted features from training rows."""

import numpy as np
import polars as pl

from features.definitions import FittedFeature, Impute, QuantileBins, Scale, Tfidf, Vocabulary
from features.fitted.states import BinsState, ImputeState, ScaleState, State, VocabularyState
from features.fitted.terms import learn_terms
from features.rows.texts import texts_of


def learn(feature: FittedFeature, column: pl.Series, *, place: str) -> State:
    """Learns a feature of one column.

    Args:
        feature: The feature, not a target encoding.
        column: Training rows.
        place: The feature, for messages.

    Raises:
        ValueError: The column is of the wrong type, or has no value in any training row.
    """
    values = column.drop_nulls()
    if isinstance(feature, Vocabulary):
        return _vocabulary(texts_of(values), feature)
    if isinstance(feature, Tfidf):
        if column.dtype != pl.String:
            raise ValueError(f"{place}: {feature.column!r} is {column.dtype}; text is needed")
        return learn_terms(column, feature)
    if not len(values):
        raise ValueError(f"{place}: {feature.column!r} has no value in any training row")  # type: ignore[union-attr]
    if isinstance(values.dtype, pl.Datetime):
        raise ValueError(f"{place}: {feature.column!r} holds times, which have no statistic that could be learned")  # type: ignore[union-attr]
    if isinstance(feature, Impute) and feature.by == "most_frequent":
        counts = values.value_counts(name="__count")
        best = counts.filter(pl.col("__count") == pl.col("__count").max())[values.name].min()
        return ImputeState(value=best)  # type: ignore[arg-type]
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        raise ValueError(f"{place}: {column.name!r} is {values.dtype}; numbers are needed")
    numbers = np.sort(values.cast(pl.Float64).to_numpy())
    if isinstance(feature, Scale):
        return _scale(numbers, feature)
    if isinstance(feature, QuantileBins):
        edges = np.quantile(numbers, np.arange(1, feature.bins) / feature.bins)
        return BinsState(edges=np.unique(edges).tolist())
    assert isinstance(feature, Impute)
    series = pl.Series(numbers)
    value = {"mean": series.mean, "median": series.median, "min": series.min, "max": series.max}[feature.by]()
    return ImputeState(value=value)  # type: ignore[arg-type]


def _scale(numbers: np.ndarray, feature: Scale) -> ScaleState:
    if feature.method == "standard":
        center, spread = float(numbers.mean()), float(numbers.std())
    elif feature.method == "minmax":
        center, spread = float(numbers[0]), float(numbers[-1] - numbers[0])
    else:
        low, center, high = (float(value) for value in np.quantile(numbers, [0.25, 0.5, 0.75]))
        spread = high - low
    constant = numbers[0] == numbers[-1] or spread == 0
    return ScaleState(
        center=float(numbers[0]) if numbers[0] == numbers[-1] else center, spread=1.0 if constant else spread
    )


def _vocabulary(texts: pl.Series, feature: Vocabulary) -> VocabularyState:
    counts = pl.DataFrame({"text": texts}).group_by("text").len().filter(pl.col("len") >= feature.min_count)
    kept = counts.sort(["len", "text"], descending=[True, False])["text"]
    return VocabularyState(categories=kept.head(feature.max_size or len(kept)).to_list())
