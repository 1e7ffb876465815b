"""Selection table: features and label as numbers, split by time into training rows and later validation rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

_SMOOTHING = 10.0
_MAX_CLASSES = 20


@dataclass(frozen=True, kw_only=True)
class SelectionTable:
    """Numbers for selection.

    Attributes:
        features: Columns of each feature, float (n, columns); missing values are NaN.
        label: Label, float (n, classes); one column for a number or for two classes.
        train: Training rows, bool (n,); the others are later.
    """

    features: Mapping[str, np.ndarray]
    label: np.ndarray
    train: np.ndarray

    @classmethod
    def from_frame(cls, features: Mapping[str, pl.Series], label: pl.Series, train: np.ndarray) -> "SelectionTable":
        """Builds the table; rows without a label are left out.

        Categories become the mean label of their training rows, smoothed; an unknown one is missing.

        Args:
            features: Values by full name.
            label: The label.
            train: Training rows, bool (n,).

        Raises:
            ValueError: The label is constant, a vector, or has too many classes.
        """
        known = label.is_not_null() & (label.is_not_nan() if label.dtype.is_float() else True)
        keep = known.to_numpy()
        target, train = _label(label.filter(known)), train[keep]
        if not train.any() or train.all():
            raise ValueError(f"label {label.name!r}: {int(keep.sum())} rows with a label are too few to split by time")
        if not np.ptp(target[train], axis=0).any():
            raise ValueError(f"label {label.name!r} is the same in all training rows: nothing can be selected by it")
        centre = target[train].mean(axis=0)
        spread = target[train].std(axis=0)
        target = (target - centre) / np.where(spread > 0, spread, 1.0)
        columns = {name: _numbers(values.filter(known), target[:, 0], train) for name, values in features.items()}
        return cls(features=columns, label=target, train=train)


def _label(label: pl.Series) -> np.ndarray:
    if label.dtype.is_numeric() or label.dtype == pl.Boolean:
        return label.cast(pl.Float64).to_numpy()[:, None]
    if label.dtype.is_nested():
        raise ValueError(f"label {label.name!r} is {label.dtype}; a number or a category is needed")
    classes = label.cast(pl.String).unique().sort()
    if len(classes) > _MAX_CLASSES:
        raise ValueError(f"label {label.name!r} has {len(classes)} classes, at most {_MAX_CLASSES} are compared")
    one_hot = np.stack([(label.cast(pl.String) == name).to_numpy() for name in classes], axis=1).astype(np.float64)
    return one_hot[:, 1:] if len(classes) == 2 else one_hot


def _numbers(values: pl.Series, target: np.ndarray, train: np.ndarray) -> np.ndarray:
    if isinstance(values.dtype, pl.List | pl.Array):
        rows = values.to_list()
        width = max((len(row) for row in rows if row is not None), default=0)
        cells = [row if row is not None else [np.nan] * width for row in rows]
        return np.array(cells, dtype=np.float64).reshape(len(values), width)
    if values.dtype.is_temporal():
        values = values.to_physical()
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return values.cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
    learned = pl.DataFrame({"category": values, "target": target}).filter(pl.Series(train))
    means = learned.group_by("category").agg(mean=pl.col("target").sum() / (pl.len() + _SMOOTHING))
    coded = pl.DataFrame({"category": values}).join(means, on="category", how="left", maintain_order="left")["mean"]
    return coded.set(values.is_null(), None).fill_null(np.nan).to_numpy()[:, None]
