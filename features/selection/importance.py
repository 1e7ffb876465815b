"""Selection by importance: how much worse a model answers later rows once a feature is shuffled among them."""

import numpy as np

from features.selection.scored import Scored
from features.selection.stumps import fit_stumps
from features.selection.table import SelectionTable


def by_importance(table: SelectionTable, *, keep: int, repeats: int = 3, seed: int = 0) -> tuple[list[Scored], float]:
    """Scores features by permutation importance on validation rows.

    The model is a sum of boosted stumps, fitted on training rows. Features that say the same share their importance.

    Args:
        table: Features and label.
        keep: How many to keep.
        repeats: How often each feature is shuffled.
        seed: Seed of the shuffles.

    Returns:
        scored: Features by falling score, the increase of the squared error as a share of the label's variance.
        explained: Share of the label's variance in validation rows that the model explains, at most 1.
    """
    names = list(table.features)
    widths = [table.features[name].shape[1] for name in names]
    columns = np.concatenate([table.features[name] for name in names], axis=1)
    model = fit_stumps(columns[table.train], table.label[table.train])
    bins, label = model.bins(columns[~table.train]), table.label[~table.train]
    variance = float(((label - label.mean(axis=0)) ** 2).mean()) or 1.0
    answers = model.predict(bins)
    error = float(((label - answers) ** 2).mean())
    rng = np.random.default_rng(seed)
    scores: dict[str, float] = {}
    begin = 0
    for name, width in zip(names, widths, strict=True):
        part = slice(begin, begin + width)
        begin += width
        own = sum((model.tables[j][bins[:, j]] for j in range(part.start, part.stop)), np.zeros_like(label))
        worse = [((label - (answers - own + own[rng.permutation(len(own))])) ** 2).mean() for _ in range(repeats)]
        scores[name] = (float(np.mean(worse)) - error) / variance
    order = sorted(names, key=lambda name: -scores[name])
    scored = [
        Scored(name=name, score=scores[name], kept=place < keep, reason="" if place < keep else "less important")
        for place, name in enumerate(order)
    ]
    return scored, 1 - error / variance
