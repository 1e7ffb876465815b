"""Rules that weigh the members of an ensemble, from the products of their errors on validation."""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from models.forecasting.member_choice import largest_subset
from models.forecasting.member_weights import shrunken_weights

Rule = Callable[[Tensor, int, int], Tensor]
"""(products (N, M, M), values in a window, horizon) -> weights (M,), non-negative, of sum one."""

_SHRINKAGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
_PARTS = 4
_SUM_WEIGHT = 1e4
"""Weight of the sum of weights being one among the squares."""


def mse(products: Tensor, weights: Tensor, values: int) -> float:
    """MSE of the weighted mean over windows (N, M, M) of `values` errors each."""
    return float(weights @ products.mean(dim=0) @ weights) / values


def all_members(products: Tensor, values: int, horizon: int) -> Tensor:
    """The plain mean."""
    return _equal(range(products.shape[1]), products.shape[1])


def within_margin(products: Tensor, values: int, horizon: int) -> Tensor:
    """The mean of the members that are at most 1.10x as bad as the best."""
    own = products.mean(dim=0).diagonal()
    return _equal([index for index in range(len(own)) if own[index] <= 1.1 * own.min()], len(own))


def lowest_subset(products: Tensor, values: int, horizon: int) -> Tensor:
    """The subset of the lowest error."""
    total, size = products.mean(dim=0), products.shape[1]
    subsets = [subset for count in range(1, size + 1) for subset in combinations(range(size), count)]
    return _equal(min(subsets, key=lambda subset: float(total[subset, :][:, subset].mean())), size)


def one_standard_error(products: Tensor, values: int, horizon: int) -> Tensor:
    """The largest subset within one standard error of the best one, from blocks of two horizons."""
    counts = torch.full((len(products),), values)
    return _equal(largest_subset(products, counts=counts, block=2 * horizon).members, products.shape[1])


def subset_and_weights(products: Tensor, values: int, horizon: int) -> Tensor:
    """That subset, with weights from stacking inside of it."""
    members = one_standard_error(products, values, horizon).nonzero().flatten()
    weights = torch.zeros(products.shape[1], dtype=torch.float64)
    weights[members] = fitted_shrinkage(products[:, members][:, :, members], values, horizon)
    return weights


def one_more_horizon(products: Tensor, values: int, horizon: int) -> Tensor:
    """The shipped rule: the shrinkage is that of one more horizon of windows in which all members err alike."""
    return shrunken_weights(products, counts=torch.full((len(products),), values), horizon=horizon)


def fitted_shrinkage(products: Tensor, values: int, horizon: int) -> Tensor:
    """Weights of the lowest error plus a penalty on their distance from equal ones, chosen over parts of validation."""
    parts = [part.sum(dim=0) for part in products.tensor_split(_PARTS)]
    whole = torch.stack(parts).sum(dim=0)

    def left_out(shrinkage: float) -> float:
        found = [_stack(whole - part, shrinkage) for part in parts]
        return sum(float(weights @ part @ weights) for weights, part in zip(found, parts, strict=True))

    return _stack(whole, min(reversed(_SHRINKAGES), key=left_out))


RULES: dict[str, Rule] = {
    "all": all_members,
    "lowest subset": lowest_subset,
    "within 1.10x": within_margin,
    "subset within one standard error": one_standard_error,
    "that, then stacking": subset_and_weights,
    "stacking, shrinkage fitted": fitted_shrinkage,
    "stacking, shrinkage of one horizon": one_more_horizon,
}


def _equal(members: Sequence[int], size: int) -> Tensor:
    weights = torch.zeros(size, dtype=torch.float64)
    weights[list(members)] = 1 / len(members)
    return weights


def _stack(total: Tensor, shrinkage: float) -> Tensor:
    """Minimises w' A w + shrinkage trace(A) / M |w - 1 / M|^2 over weights >= 0 of sum one, as least squares."""
    size = len(total)
    scaled = (total / total.diagonal().mean()).numpy()
    root = np.linalg.cholesky(scaled + 1e-9 * np.eye(size)).T
    rows = np.vstack([root, np.sqrt(shrinkage) * np.eye(size), np.full((1, size), _SUM_WEIGHT)])
    right = np.concatenate([np.zeros(size), np.full(size, np.sqrt(shrinkage) / size), [_SUM_WEIGHT]])
    weights = torch.from_numpy(nnls(rows, right)[0])
    return weights / weights.sum()
