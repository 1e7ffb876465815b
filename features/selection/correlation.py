"""Selection by association: the features that share most information with the label, without repetitions."""

import numpy as np

from features.selection.scored import Scored
from features.selection.table import SelectionTable

_BINS = 16


def by_correlation(table: SelectionTable, *, keep: int, max_correlation: float = 0.95) -> list[Scored]:
    """Scores features by mutual information with the label in training rows; of two that say the same one is kept.

    Args:
        table: Features and label.
        keep: How many to keep.
        max_correlation: Absolute correlation of ranks above which the feature of less information is dropped.

    Returns:
        Features by falling score, the mutual information in nats.
    """
    label = [_bins(column) for column in table.label[table.train].T]
    columns = {name: values[table.train] for name, values in table.features.items()}
    scores = {
        name: max((_information(_bins(part), one) for part in values.T for one in label), default=0.0)
        for name, values in columns.items()
    }
    ranks = {name: _ranks(values[:, 0]) for name, values in columns.items() if values.shape[1] == 1}
    scored: list[Scored] = []
    kept: list[str] = []
    for name in sorted(columns, key=lambda name: -scores[name]):
        twin = next(
            (other for other in kept if abs(_correlation(ranks.get(name), ranks.get(other))) > max_correlation), None
        )
        reason = f"as {twin}" if twin else "" if len(kept) < keep else "less information"
        if not reason:
            kept.append(name)
        scored.append(Scored(name=name, score=scores[name], kept=not reason, reason=reason))
    return scored


def _bins(values: np.ndarray) -> np.ndarray:
    """Quantile bins from 0; missing values have the last one."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    return np.where(np.isnan(values), _BINS, np.searchsorted(edges, values, side="right"))


def _information(one: np.ndarray, other: np.ndarray) -> float:
    size = _BINS + 1
    joint = np.bincount(one * size + other, minlength=size * size).reshape(size, size) / len(one)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / apart[filled])).sum())


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of a column, ties by their middle, missing values in the middle of all; of mean 0."""
    known = ~np.isnan(values)
    ranks = np.zeros(len(values))
    _, place, count = np.unique(values[known], return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    ranks[known] = (ends - (count + 1) / 2)[place]
    ranks[known] -= ranks[known].mean() if known.any() else 0.0
    return ranks


def _correlation(one: np.ndarray | None, other: np.ndarray | None) -> float:
    if one is None or other is None:
        return 0.0
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norm if norm else 0.0
