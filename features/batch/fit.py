"""Fit: learning of fitted features on training rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.batch.compute import Asked, compute_features, with_own_tables
from features.batch.labels import label_values
from features.batch.request import row_times
from features.definitions import Definitions, FittedFeature, FutureAggregate, TargetEncoding
from features.definitions.duration import microseconds
from features.fitted import Fitted, TrainingRows
from features.rows import required_features
from features.sources import Notes

Mask = pl.Series | np.ndarray | Sequence[bool]


def fit(
    definitions: Definitions,
    rows: pl.DataFrame,
    *,
    at: str | datetime = "time",
    features: Sequence[str] | None = None,
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame] | None = None,
    train: Mask | None = None,
    root: Path | None = None,
    notes: Notes | None = None,
) -> Fitted:
    """Learns fitted features.

    Args:
        definitions: The definitions.
        rows: Rows with keys, times, requested columns, and the columns of labels that target encodings read.
        at: Column of the times, or one time for all rows.
        features: Full names of features, or names of views; None for all.
        tables: Rows of sources by name, instead of their files.
        train: Which rows are training rows; None for all. Others are read by nothing but features of history.
        root: Folder that relative paths of sources start from.
        notes: Takes counts of what was left out; None writes them as warnings of the logger `features`.

    Raises:
        ValueError: A name is unknown, a column is missing or of another type, or there are no training rows.
    """
    said = Notes() if notes is None else notes
    own = with_own_tables(definitions, rows, tables)
    times = row_times(rows, at, definitions, own, notes=said)
    mask = pl.Series(train_mask(train, rows.height))
    rows = rows.filter(mask)
    if not rows.height:
        raise ValueError("train: there are no training rows")
    asked = Asked(rows=rows, times=times.filter(mask), tables=own, root=root, notes=said)
    chosen = definitions.select(features)
    training = training_rows(definitions, chosen, asked, np.ones(rows.height, dtype=bool))
    if any(isinstance(definitions.feature(full), FittedFeature) for full in required_features(definitions, chosen)):
        compute_features(definitions, chosen, asked, fitted=None, training=training)
    if notes is None:
        said.log()
    return Fitted(digest=definitions.digest, states=training.learned, rows=rows.height)


def train_mask(train: Mask | None, height: int) -> np.ndarray:
    """Which rows are training rows, bool (n,).

    Args:
        train: One truth value per row; None for all.
        height: Number of rows.

    Raises:
        ValueError: It is not one truth value per row.
    """
    if train is None:
        return np.ones(height, dtype=bool)
    mask = pl.Series(train)
    if mask.dtype != pl.Boolean or mask.null_count() or len(mask) != height:
        raise ValueError(
            f"train: one truth value for each of {height:,} rows is needed, {len(mask):,} {mask.dtype} given"
        )
    return mask.to_numpy()


def training_rows(definitions: Definitions, chosen: Sequence[str], asked: Asked, mask: np.ndarray) -> TrainingRows:
    """Training rows with the labels that target encodings read.

    Args:
        definitions: The definitions.
        chosen: Full names of features.
        asked: The rows.
        mask: Which of them are training rows.

    Raises:
        ValueError: A label is no number.
    """
    times = asked.times.to_physical().fill_null(0).to_numpy()
    labels: dict[str, pl.Series] = {}
    known: dict[str, np.ndarray] = {}
    for full in required_features(definitions, chosen):
        feature = definitions.feature(full)
        if not isinstance(feature, TargetEncoding) or feature.label in labels:
            continue
        values = label_values(
            feature.label,
            definitions,
            asked.rows,
            times=asked.times,
            tables=asked.tables,
            root=asked.root,
            notes=asked.notes,
        )
        if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
            raise ValueError(f"labels.{feature.label}: {values.dtype}; numbers are needed for a target encoding")
        labels[feature.label] = values.cast(pl.Float64).fill_nan(None)
        label = definitions.label(feature.label)
        later = microseconds(label.window) if isinstance(label, FutureAggregate) else 0
        known[feature.label] = times + later
    return TrainingRows(mask=mask, labels=labels, asked=times, known=known)
