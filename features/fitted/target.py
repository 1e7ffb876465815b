"""Target encoding: smoothed means of a label by category, of other training rows for training rows."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.definitions import TargetEncoding
from features.fitted.states import TargetState
from features.rows.texts import map_values, texts_of

_NULL, _BETWEEN = "\x00\x01", "\x1f"  # numpy drops a \x00 at the end of a text


def categories_of(columns: Sequence[pl.Series]) -> pl.Series:
    """One text per row for the combination of its categories; a null is a category of its own.

    Args:
        columns: Category columns.
    """
    texts = [texts_of(column).fill_null(_NULL).alias(str(place)) for place, column in enumerate(columns)]
    return pl.DataFrame(texts).select(pl.concat_str(pl.all(), separator=_BETWEEN)).to_series()


def _codes(categories: pl.Series) -> tuple[list[str], np.ndarray]:
    """The distinct categories in order, and the place of each row's among them; numpy's texts would lose `_NULL`."""
    return categories.unique().sort().to_list(), categories.rank("dense").to_numpy().astype(np.int64) - 1


def learn_target(categories: pl.Series, labels: pl.Series) -> TargetState:
    """Sums and counts of the label by category; rows without a label are left out.

    Args:
        categories: Result of `categories_of`.
        labels: Float64.
    """
    has = labels.is_not_null()
    distinct, codes = _codes(categories.filter(has))
    numbers = labels.filter(has).to_numpy()
    return TargetState(
        categories=[[None if part == _NULL else part for part in text.split(_BETWEEN)] for text in distinct],
        sums=np.bincount(codes, numbers, len(distinct)).tolist(),
        counts=np.bincount(codes, minlength=len(distinct)).tolist(),
        total=float(numbers.sum()),
        count=len(numbers),
    )


def same_rows(left: TargetState, right: TargetState) -> bool:
    """Whether two states were learned from the same rows, in any order."""
    return (left.categories, left.counts) == (right.categories, right.counts) and np.allclose(
        left.sums, right.sums, rtol=1e-9, atol=1e-9 * (1 + max(map(abs, left.sums), default=0))
    )


def encode(categories: pl.Series, feature: TargetEncoding, state: TargetState) -> pl.Series:
    """Smoothed means of all training rows.

    Args:
        categories: Result of `categories_of`.
        feature: The feature.
        state: What was learned.
    """
    means, mean = smoothed_means(feature, state)
    return map_values(categories, lambda category: means.get(category, mean), pl.Float64)


def smoothed_means(feature: TargetEncoding, state: TargetState) -> tuple[dict[str, float], float]:
    """Smoothed mean of each category by its key, and the mean of all rows, which unknown categories get.

    Args:
        feature: The feature.
        state: What was learned.
    """
    mean = state.total / state.count
    smoothing = feature.smoothing
    means = {
        category_key(parts): (total + smoothing * mean) / (count + smoothing)
        for parts, total, count in zip(state.categories, state.sums, state.counts, strict=True)
    }
    return means, mean


def category_key(parts: Sequence[str | None]) -> str:
    """Key of a combination of categories, as `categories_of` writes it.

    Args:
        parts: Texts of the categories; None for a null.
    """
    return _BETWEEN.join(_NULL if part is None else part for part in parts)


def encode_training(
    categories: pl.Series, labels: pl.Series, feature: TargetEncoding, *, asked: np.ndarray, known: np.ndarray
) -> pl.Series:
    """Smoothed means for training rows, none of which sees its own label.

    Args:
        categories: Result of `categories_of`.
        labels: Float64 (n,); rows without a label count for nobody.
        feature: The feature.
        asked: Times of the rows, int64 (n,).
        known: Times at which their labels are known, int64 (n,).
    """
    codes = _codes(categories)[1]
    has = labels.is_not_null().to_numpy()
    numbers = labels.fill_null(0).to_numpy()
    if feature.order == "time":
        sums, counts, total, count = _earlier(codes, numbers, has, asked=asked, known=known)
    else:
        sums, counts, total, count = _other_folds(codes, numbers, has, feature)
    mean = np.divide(total, count, out=np.full(len(codes), np.nan), where=count > 0)
    encoded = (sums + feature.smoothing * mean) / np.maximum(counts + feature.smoothing, 1e-300)
    encoded = np.where(counts + feature.smoothing > 0, encoded, mean)
    return pl.Series(encoded, nan_to_null=True)


def _other_folds(
    codes: np.ndarray, numbers: np.ndarray, has: np.ndarray, feature: TargetEncoding
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    folds = np.random.default_rng(feature.seed).permutation(len(codes)) % feature.folds
    cells = codes * feature.folds + folds
    size = (int(codes.max(initial=0)) + 1) * feature.folds
    in_fold = np.bincount(cells, numbers * has, size), np.bincount(cells, has, size)
    by_code = [part.reshape(-1, feature.folds).sum(1) for part in in_fold]
    by_fold = [part.reshape(-1, feature.folds).sum(0) for part in in_fold]
    sums, counts = (whole[codes] - part[cells] for whole, part in zip(by_code, in_fold, strict=True))
    total, count = (part.sum() - part[folds] for part in by_fold)
    return sums, counts, total, count


def _earlier(
    codes: np.ndarray, numbers: np.ndarray, has: np.ndarray, *, asked: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums and counts of the labels known before the time of a row: of its category, and of all."""
    rows = np.flatnonzero(has)
    distinct = np.unique(np.concatenate([known, asked]))
    size = len(distinct) + 1
    when, ask = np.searchsorted(distinct, known), np.searchsorted(distinct, asked)
    results: list[np.ndarray] = []
    for group in (codes, np.zeros_like(codes)):
        packed = group[rows] * size + when[rows]
        order = np.argsort(packed, kind="stable")
        running = np.concatenate([[0.0], np.cumsum(numbers[rows][order])])
        first = np.searchsorted(packed[order], group * size)
        end = np.searchsorted(packed[order], group * size + ask)
        results += [running[end] - running[first], (end - first).astype(np.float64)]
    return results[0], results[1], results[2], results[3]
