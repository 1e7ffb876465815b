"""Encoding: columns of two samples as numbers, by rules that look at both together and at no label."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]

_MAX_CATEGORIES = 20


class Encoding(NamedTuple):
    """Columns as numbers.

    Attributes:
        matrix: Each column has a total variance of 1: normal scores of ranks for numbers, indicators for categories and
            missing values, (N, features).
        column: Column of each feature, (features,).
        is_score: Whether a feature is the score of a number, (features,).
        names: Names of the columns.
        constant: Columns that were left out because they have one value.
    """

    matrix: Array
    column: npt.NDArray[np.intp]
    is_score: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    constant: tuple[str, ...]


def encode(columns: dict[str, pl.Series]) -> Encoding:
    """Encodes pooled columns.

    Args:
        columns: Numbers and texts (categories) by name, rows of both samples, null where missing.
    """
    parts: list[Array] = []
    numbers: list[int] = []
    scores: list[bool] = []
    names: list[str] = []
    constant: list[str] = []
    for name, series in columns.items():
        found = _number(series) if series.dtype.is_numeric() else _category(series)
        found = [part for part in found if np.ptp(part) > 0]
        if not found:
            constant.append(name)
            continue
        total = np.sqrt(sum(float(np.var(part)) for part in found))
        parts += [(part - part.mean()) / total for part in found]
        numbers += [len(names)] * len(found)
        scores += [series.dtype.is_numeric() and place == 0 for place in range(len(found))]
        names.append(name)
    rows = len(next(iter(columns.values()))) if columns else 0
    matrix = np.stack(parts, axis=1) if parts else np.zeros((rows, 0))
    return Encoding(matrix, np.array(numbers, np.intp), np.array(scores, np.bool_), tuple(names), tuple(constant))


def normal_scores(values: Array) -> Array:
    """Normal quantiles of the ranks, 0 for values that are not finite.

    Args:
        values: Numbers, (N,) or (N, columns).
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    flat = values.reshape(len(values), -1).astype(np.float64)
    known = np.isfinite(flat)
    ranks = rankdata(np.where(known, flat, np.nan), axis=0, nan_policy="omit")
    found: Array = np.where(known, ndtri((np.where(known, ranks, 1) - 0.5) / np.maximum(1, known.sum(axis=0))), 0.0)
    return found.reshape(values.shape)


def _number(series: pl.Series) -> list[Array]:
    values = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return [normal_scores(values), (~np.isfinite(values)).astype(np.float64)]


def _category(series: pl.Series) -> list[Array]:
    filled = series.cast(pl.String)
    counts = filled.drop_nulls().value_counts(sort=True).sort(["count", series.name], descending=[True, False])
    top = counts[series.name][:_MAX_CATEGORIES].to_list()
    parts = [(filled == value).fill_null(value=False).to_numpy().astype(np.float64) for value in top]
    if len(counts) > len(top):
        parts.append((~filled.is_in(top) & filled.is_not_null()).fill_null(value=False).to_numpy().astype(np.float64))
    parts.append(filled.is_null().to_numpy().astype(np.float64))
    return parts
