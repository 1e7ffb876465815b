"""Leaks: single features that are the label in disguise, and test rows that training has too; for the report."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from torch import Tensor

from datamodules.tabular.splits import TableRows
from features.pipeline import Layout

_MOST_LABELS = 20
"""Labels of a row that are searched: each takes a pass over all features."""
_MOST_TRAIN, _MOST_HELD_OUT = 20_000, 10_000
_ROWS_AT_ONCE = 4096
"""Rows that are hashed together: wide vectors of all rows would be in memory twice."""
_FEWEST = 40
"""Held-out rows that a score needs."""
_FEWEST_OF_CLASS = 10
_BINS = 64
_MOST_COLUMNS = 500
_SUSPICIOUS = 0.99
_MOST_NAMES = 5


def labels_in_disguise(
    arrays: Mapping[str, Tensor], layout: Layout, targets: np.ndarray, rows: TableRows, *, heads: Mapping[str, int]
) -> list[str]:
    """Lines on features that predict the label alone, nearly perfectly, on rows that they were not fitted on.

    Two classes are scored by the AUROC, several by the share of the errors of the most frequent class that the feature
    saves, numbers by R2. The feature's training rows are put into bins, each of which predicts its mean.

    Args:
        arrays: Features of all rows, see `Layout.arrays`.
        layout: Their layout.
        targets: Class index or number of each row by label, (N, T); -1 or NaN where unknown.
        rows: Rows of each split; those of validation, else of the test, are held out.
        heads: Number of classes of each label, 0 of a number.
    """
    columns = _columns(arrays, layout)
    lines: list[str] = []
    for place, (label, num_classes) in enumerate([*heads.items()][:_MOST_LABELS]):
        lines += _in_disguise(columns[:_MOST_COLUMNS], targets[:, place], rows, num_classes=num_classes, label=label)
    if len(heads) > _MOST_LABELS:
        lines.append(f"label: features that predict a label alone were looked for in the first {_MOST_LABELS} only")
    if len(columns) > _MOST_COLUMNS:
        lines.append(
            f"label: features that predict a label alone were looked for among the first {_MOST_COLUMNS} of "
            f"{len(columns):,} numbers and categories only"
        )
    return lines


def _in_disguise(
    columns: Sequence[tuple[str, np.ndarray]], targets: np.ndarray, rows: TableRows, *, num_classes: int, label: str
) -> list[str]:
    known = np.isfinite(targets) & ((targets >= 0) if num_classes else True)
    train, held_out = (part[known[part]] for part in (rows.train, rows.val if len(rows.val) else rows.test))
    train, held_out = _some(train, _MOST_TRAIN), _some(held_out, _MOST_HELD_OUT)
    if len(held_out) < _FEWEST or not len(train):
        return []
    truth = np.asarray(targets, dtype=np.float64)
    if num_classes and np.sort(np.bincount(truth[held_out].astype(int), minlength=2))[-2] < _FEWEST_OF_CLASS:
        return []
    found = []
    for name, values in columns:
        score = _score(values[train], truth[train], values[held_out], truth[held_out], num_classes)
        if score >= _SUSPICIOUS:
            found.append((score, name))
    kind = "R2" if not num_classes else "AUROC" if num_classes == 2 else "share of errors saved"
    found.sort(reverse=True)
    lines = [
        f"label: feature {name!r} alone predicts {label!r} on held-out rows ({kind} {score:.4f}): is it the label in "
        "disguise, or known only after it?"
        for score, name in found[:_MOST_NAMES]
    ]
    if len(found) > _MOST_NAMES:
        lines.append(f"label: {len(found) - _MOST_NAMES} more features alone predict {label!r}")
    return lines


def repeated_rows(identities: np.ndarray, targets: np.ndarray, rows: TableRows) -> list[str]:
    """A line on test and validation rows whose features are those of a training row.

    Args:
        identities: Equal numbers for rows with equal features, (N,).
        targets: Targets of all rows, (N,) or (N, T).
        rows: Rows of each split.
    """
    lines = []
    labelled = identities ^ pl.DataFrame(targets.reshape(len(targets), -1)).hash_rows(seed=1).to_numpy()
    for name, part in (("validation", rows.val), ("test", rows.test)):
        repeated = np.isin(identities[part], identities[rows.train])
        if not repeated.any():
            continue
        same = int(np.isin(labelled[part], labelled[rows.train]).sum())
        lines.append(
            f"rows: {int(repeated.sum()):,} of {len(part):,} {name} rows have the features of a training row, "
            f"{same:,} of them its label too"
        )
    return lines


def identities_of(arrays: Mapping[str, Tensor]) -> np.ndarray:
    """Equal numbers for rows with equal features, uint64 (N,).

    Args:
        arrays: Features of all rows, rows first.
    """
    return pl.DataFrame([_hashes(values.flatten(1)) for values in arrays.values()]).hash_rows(seed=0).to_numpy()


def _hashes(values: Tensor) -> np.ndarray:
    parts = (pl.DataFrame(part.numpy()).hash_rows(seed=0) for part in values.split(_ROWS_AT_ONCE))
    return np.concatenate([part.to_numpy() for part in parts])


def _columns(arrays: Mapping[str, Tensor], layout: Layout) -> list[tuple[str, np.ndarray]]:
    columns: list[tuple[str, np.ndarray]] = []
    if "numbers" in arrays:
        columns += zip(layout.numbers, arrays["numbers"].numpy().T, strict=True)
    if "categories" in arrays:
        names = [column.name for column in layout.categories]
        columns += zip(names, arrays["categories"].numpy().T, strict=True)
    return columns


def _score(
    train: np.ndarray, truth_of_train: np.ndarray, values: np.ndarray, truth: np.ndarray, num_classes: int
) -> float:
    place_of_train, place, count = _binned(train, values)
    sizes = np.bincount(place_of_train, minlength=count)
    if num_classes > 2:
        cells = np.bincount(place_of_train * num_classes + truth_of_train.astype(int), minlength=count * num_classes)
        likeliest = cells.reshape(count, num_classes).argmax(axis=1)
        usual = np.bincount(truth_of_train.astype(int)).argmax()
        errors = (truth != usual).mean()
        return 1 - (likeliest[place] != truth).mean() / errors if errors else 0.0
    means = np.bincount(place_of_train, truth_of_train, count) / np.maximum(sizes, 1)
    means[sizes == 0] = truth_of_train.mean()
    if num_classes:
        scores = [_auroc(means[place], truth)]
        if train.dtype.kind == "f" and not np.isnan(values).any():
            ranked = _auroc(values, truth)
            scores += [ranked, 1 - ranked]  # a threshold within a bin
        return max(scores)
    spread = float(truth.var())
    if not spread:
        return 0.0
    scores = [1 - float(np.square(truth - means[place]).mean()) / spread]
    if train.dtype.kind == "f" and not (np.isnan(values).any() or np.isnan(train).any()) and train.std() > 0:
        slope, offset = np.polyfit((train - train.mean()) / train.std(), truth_of_train, 1)
        fitted = slope * (values - train.mean()) / train.std() + offset
        scores.append(1 - float(np.square(truth - fitted).mean()) / spread)
    return max(scores)


def _binned(train: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Bins of training and held-out values, and their number; missing ones have a bin of their own."""
    if train.dtype.kind != "f":
        return train, values, int(max(train.max(), values.max())) + 1
    known = train[~np.isnan(train)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    count = len(edges) + 2
    places = [np.where(np.isnan(one), count - 1, np.searchsorted(edges, one, side="right")) for one in (train, values)]
    return places[0], places[1], count


def _auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    _, place = np.unique(scores, return_inverse=True)
    negative, positive = (np.bincount(place, truth == kind) for kind in (0, 1))
    below = np.cumsum(negative) - negative / 2
    return float((below * positive).sum() / (negative.sum() * positive.sum()))


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).permutation(rows)[:most])
