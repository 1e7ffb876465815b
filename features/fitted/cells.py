"""Cell form of fitted features: functions of one row's values in plain Python, equal to `evaluate`."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from features.definitions import FittedFeature, Impute, QuantileBins, Scale, TargetEncoding, Vocabulary
from features.definitions.source import ColumnType
from features.fitted.states import BinsState, ImputeState, ScaleState, State, TargetState, VocabularyState
from features.fitted.target import category_key, smoothed_means
from features.rows.cells import NUMBERS, CellFunction, bucket_cell, divided
from features.rows.texts import text_of


def fitted_cells(
    feature: FittedFeature, state: State, types: Sequence[ColumnType]
) -> tuple[CellFunction, ColumnType] | None:
    """The function of a feature, of its inputs in the order of `columns_read`, and the type of its values.

    Args:
        feature: The feature.
        state: Its state.
        types: Types of its inputs.

    Returns:
        None if only the table form can compute it, or refuses the types.
    """
    if isinstance(feature, TargetEncoding) and isinstance(state, TargetState):
        means, mean = smoothed_means(feature, state)
        return partial(_target, means=means, mean=mean), "float"
    if isinstance(feature, Vocabulary) and isinstance(state, VocabularyState):
        index = {text: number for number, text in enumerate(state.categories, start=2)}
        return partial(_numbered, index=index), "int"
    if isinstance(feature, Impute) and isinstance(state, ImputeState):
        return _imputed(feature, state, types[0])
    if types[0] not in NUMBERS:
        return None
    if isinstance(feature, Scale) and isinstance(state, ScaleState):
        return partial(_scaled, center=state.center, spread=state.spread), "float"
    if isinstance(feature, QuantileBins) and isinstance(state, BinsState):
        return partial(bucket_cell, edges=state.edges), "int"
    return None


def _target(*values: Any, means: Mapping[str, float], mean: float) -> float:
    return means.get(category_key([None if value is None else text_of(value) for value in values]), mean)


def _numbered(value: Any, *, index: Mapping[str, int]) -> int:
    return 1 if value is None else index.get(text_of(value), 0)


def _imputed(feature: Impute, state: ImputeState, kind: ColumnType) -> tuple[CellFunction, ColumnType] | None:
    value = state.value
    if feature.by == "most_frequent" and kind != "float":
        native = {"int": int, "bool": bool, "str": str}.get(kind)
        return (partial(_or_else, default=value), kind) if type(value) is native else None
    if kind not in NUMBERS or isinstance(value, str):
        return None
    return partial(_number_or_else, default=float(value)), "float"


def _or_else(value: Any, *, default: Any) -> Any:
    return default if value is None else value


def _number_or_else(value: float | None, *, default: float) -> float:
    return default if value is None else float(value)


def _scaled(value: float | None, *, center: float, spread: float) -> float | None:
    if value is None:
        return None
    scaled = divided(float(value) - center, spread)
    return None if math.isnan(scaled) else scaled
