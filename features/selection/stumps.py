"""Boosted stumps: a sum of one-split trees, each over one column in bins; missing values have a bin of their own."""

from dataclasses import dataclass

import numpy as np

_BINS = 32


@dataclass(frozen=True, kw_only=True)
class Stumps:
    """A fitted model: an answer per bin of each column.

    Attributes:
        edges: Edges of the bins of each column.
        tables: Sum of the answers of all stumps by column and bin, (columns, bins + 1, outputs); the last bin is that
            of missing values.
    """

    edges: list[np.ndarray]
    tables: np.ndarray

    def predict(self, bins: np.ndarray) -> np.ndarray:
        """Answers, (n, outputs).

        Args:
            bins: Bins of rows, int (n, columns).
        """
        answers = np.zeros((len(bins), self.tables.shape[2]))
        for j in range(bins.shape[1]):
            answers += self.tables[j][bins[:, j]]
        return answers

    def bins(self, columns: np.ndarray) -> np.ndarray:
        """Bins of values, int (n, columns).

        Args:
            columns: Values, float (n, columns).
        """
        return np.stack([_binned(columns[:, j], edges) for j, edges in enumerate(self.edges)], axis=1)


def fit_stumps(columns: np.ndarray, label: np.ndarray, *, rounds: int = 150, rate: float = 0.1) -> Stumps:
    """Fits boosted stumps to squared error.

    Args:
        columns: Values, float (n, columns).
        label: Label, float (n, outputs), of mean 0.
        rounds: Number of stumps per output.
        rate: Share of each stump's answer that is used.
    """
    quantiles = np.linspace(0, 1, _BINS + 1)[1:-1]
    edges = []
    for column in columns.T:
        known = column[np.isfinite(column)]
        edges.append(np.unique(np.quantile(known, quantiles)) if len(known) else np.zeros(0))
    model = Stumps(edges=edges, tables=np.zeros((columns.shape[1], _BINS + 1, label.shape[1])))
    bins = model.bins(columns)
    counts = np.stack([np.bincount(column, minlength=_BINS + 1) for column in bins.T]).astype(np.float64)
    for output in range(label.shape[1]):
        rest = label[:, output].copy()
        for _ in range(rounds):
            sums = np.stack([np.bincount(column, weights=rest, minlength=_BINS + 1) for column in bins.T])
            place, table = _best_stump(sums, counts)
            model.tables[place, :, output] += rate * table
            rest -= rate * table[bins[:, place]]
    return model


def _best_stump(sums: np.ndarray, counts: np.ndarray) -> tuple[int, np.ndarray]:
    """Column and answers by bin of the split that explains most; missing values have an answer of their own."""
    low_sum, low_count = np.cumsum(sums[:, :-1], axis=1)[:, :-1], np.cumsum(counts[:, :-1], axis=1)[:, :-1]
    all_sum, all_count = sums[:, :-1].sum(axis=1)[:, None], counts[:, :-1].sum(axis=1)[:, None]
    none_sum, none_count = sums[:, -1:], counts[:, -1:]
    gain = sum(
        part**2 / np.maximum(count, 1.0)
        for part, count in ((low_sum, low_count), (all_sum - low_sum, all_count - low_count), (none_sum, none_count))
    )
    column, split = np.unravel_index(np.argmax(gain), np.shape(gain))
    table = np.empty(sums.shape[1])
    table[: split + 1] = low_sum[column, split] / max(low_count[column, split], 1.0)
    table[split + 1 : -1] = (all_sum[column, 0] - low_sum[column, split]) / max(
        all_count[column, 0] - low_count[column, split], 1.0
    )
    table[-1] = none_sum[column, 0] / max(none_count[column, 0], 1.0)
    return int(column), table


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), _BINS, np.searchsorted(edges, values, side="right")).astype(np.int64)
