"""Domain classifier: whether rows of a window can be told from those of the reference (Lopez-Paz & Oquab 2017).

A ridge classifier on columns, their bins and the products of pairs of numbers is fitted on four fifths of the blocks
and ranks the last fifth, in turn; the statistic is the mean held-out AUC. It has a closed form, so that it is fitted
anew for each permutation of the labels: the p-value is exact, cross-fitting included.
"""

import numpy as np
import numpy.typing as npt

from lightning_app.drift.multivariate.design import PermutationDesign
from lightning_app.drift.multivariate.encoding import Encoding

Array = npt.NDArray[np.float64]

_FOLDS = 5
_BINS = 6
_MAX_PAIRS = 300
_PENALTY = 1.0
"""Added to the covariance of the features, which have a variance of 1."""
_LEAST_SHARE = 0.1
_MOST_NAMED = 5


def classifier_test(
    encoding: Encoding, design: PermutationDesign, *, seed: int
) -> tuple[float, float, tuple[str, ...]]:
    """Held-out AUC, its p-value, and the columns that it rests on, the most important one first.

    Args:
        encoding: Pooled rows.
        design: How they are exchanged.
        seed: Of the folds and of the choice of pairs.
    """
    random = np.random.default_rng(seed)
    features, columns = _features(encoding, random)
    fold = random.permutation(design.labels.shape[1])[design.block] % _FOLDS
    weights, labels = design.weights, design.row_labels
    ties = 1e-9 * random.random(len(features))
    areas = np.zeros(len(labels))
    drops = np.zeros(len(encoding.names))
    for held_out in range(_FOLDS):
        test = fold == held_out
        slopes = _ridge(features[~test], labels[:, ~test], weights[~test])
        scores = slopes @ features[test].T + ties[test]
        areas += areas_under_curve(scores, labels[:, test], weights[test]) / _FOLDS
        drops += _drops(features[test], slopes[0], columns, labels[0, test], weights[test], random, len(drops)) / _FOLDS
    order = np.argsort(-drops, kind="stable")[:_MOST_NAMED]
    named = tuple(encoding.names[place] for place in order if drops[place] > _LEAST_SHARE * max(areas[0] - 0.5, 1e-9))
    return float(areas[0]), design.p_value(areas), named


def areas_under_curve(scores: Array, labels: npt.NDArray[np.bool_], weights: Array) -> Array:
    """Weighted area under the ROC curve of each row of scores; equal scores are put in the order in which they stand.

    Args:
        scores: (assignments, N).
        labels: Which are positive, (assignments, N).
        weights: Weight of each of the N.
    """
    order = np.argsort(scores, axis=1)
    positive = np.take_along_axis(labels, order, axis=1) * weights[order]
    negative = weights[order] - positive
    below = np.cumsum(negative, axis=1)
    found: Array = np.sum(positive * below, axis=1) / np.maximum(positive.sum(axis=1) * below[:, -1], 1e-300)
    return found


def _features(encoding: Encoding, random: np.random.Generator) -> tuple[Array, list[tuple[int, ...]]]:
    """Standardised features, and the columns that each is made of."""
    parts = [encoding.matrix]
    columns: list[tuple[int, ...]] = [(int(column),) for column in encoding.column]
    scores = np.flatnonzero(encoding.is_score)
    for place in scores:
        score = encoding.matrix[:, place]
        edges = np.unique(np.quantile(score, np.arange(1, _BINS) / _BINS))
        parts.append((score[:, None] > edges).astype(np.float64))
        columns += [(int(encoding.column[place]),)] * len(edges)
    first, second = np.triu_indices(len(scores))
    if len(first) > _MAX_PAIRS:  # squares stay, of other pairs some
        keep = (first == second) | (random.permutation(len(first)) < _MAX_PAIRS)
        first, second = first[keep], second[keep]
    parts.append(encoding.matrix[:, scores[first]] * encoding.matrix[:, scores[second]])
    columns += [
        (int(encoding.column[scores[one]]), int(encoding.column[scores[other]]))
        for one, other in zip(first, second, strict=True)
    ]
    matrix = np.concatenate(parts, axis=1)
    matrix -= matrix.mean(axis=0)
    spread = matrix.std(axis=0)
    kept = spread > 1e-9
    return matrix[:, kept] / spread[kept], [names for names, keep in zip(columns, kept, strict=True) if keep]


def _ridge(features: Array, labels: npt.NDArray[np.bool_], weights: Array) -> Array:
    """Slopes of the ridge regression of each row of labels, (assignments, features)."""
    total = weights.sum()
    gram = (features * weights[:, None]).T @ features / total
    gram[np.diag_indices_from(gram)] += _PENALTY
    targets = labels - (labels @ weights / total)[:, None]
    found: Array = np.linalg.solve(gram, (features * weights[:, None]).T @ targets.T / total).T
    return found


def _drops(
    features: Array, slopes: Array, columns: list[tuple[int, ...]], labels: npt.NDArray[np.bool_], weights: Array,
    random: np.random.Generator, num_columns: int,
) -> Array:  # fmt: skip
    """How much the AUC falls where the features of a column are shuffled."""
    parts = features * slopes
    scores = np.repeat(parts.sum(axis=1)[None], 1 + num_columns, axis=0)
    order = random.permutation(len(features))
    for column in range(num_columns):
        own = [place for place, made_of in enumerate(columns) if column in made_of]
        change = parts[:, own].sum(axis=1)
        scores[1 + column] += change[order] - change
    areas = areas_under_curve(scores, np.repeat(labels[None], len(scores), axis=0), weights)
    return areas[0] - areas[1:]
