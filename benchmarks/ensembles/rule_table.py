"""Rules that choose members, side by side on pools of series."""

import statistics
from collections.abc import Callable, Sequence

from torch import Tensor

from benchmarks.ensembles.fits import FittedPool, cost, fitted
from benchmarks.ensembles.pools import POOLS
from benchmarks.ensembles.rules import RULES, mse
from benchmarks.page import table

_BLOCKS = 4
"""A gap of one horizon between the halves of validation is left only where they hold more windows than this many."""


def halves(products: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """First and second half of windows, with a gap of a horizon, if there are enough, so that no target is in both."""
    middle = len(products) // 2
    gap = horizon if len(products) >= _BLOCKS * horizon else 0
    return products[:middle], products[middle + gap :]


def ensemble_rules() -> str:
    """Rules that choose or weigh the members of an ensemble, on eleven pools."""
    pools = fitted(POOLS)
    parts = [halves(pool.products["val"], pool.horizon) for pool in pools]
    forward = _table(pools, [part for part, _ in parts], [part for _, part in parts])
    backward = _table(pools, [part for _, part in parts], [part for part, _ in parts])
    test = _table(pools, [pool.products["val"] for pool in pools], [pool.products["test"] for pool in pools])
    return (
        "MSE relative to the mean of all members, and how many members are taken. The last column is what "
        "`EnsembleForecaster` and `forecasting/auto` do; it was kept by the first two tables. First chosen on the first half of "
        f"validation and judged on the second:\n\n{forward}\n\nThen chosen on the second half and judged on the first:\n\n"
        f"{backward}\n\nThen chosen on validation and judged on test:\n\n{test}{cost(pools)}"
    )


def _table(pools: Sequence[FittedPool], chosen_on: Sequence[Tensor], judged_on: Sequence[Tensor]) -> str:
    ratios: dict[str, list[float]] = {rule: [] for rule in RULES}
    rows = []
    for pool, seen, unseen in zip(pools, chosen_on, judged_on, strict=True):
        weights = {rule: choose(seen, pool.values, pool.horizon) for rule, choose in RULES.items()}
        errors = {rule: mse(unseen, found, pool.values) for rule, found in weights.items()}
        for rule, error in errors.items():
            ratios[rule].append(error / errors["all"])
        cells = [
            f"{error / errors['all']:.4f} ({int((weights[rule] > 1e-3).sum())})" if rule != "all" else f"{error:.4f}"
            for rule, error in errors.items()
        ]
        rows.append("|".join([pool.title, str(len(pool.names)), *cells]))
    header = "|".join(["pool", "members", *(rule if rule != "all" else "mean of all, MSE" for rule in RULES)])
    return table(header, *rows, _summary(ratios), _against_subset(ratios))


def _against_subset(ratios: dict[str, list[float]]) -> str:
    """On how many pools each rule is better than the subset within one standard error, and its worst ratio."""
    subset = ratios["subset within one standard error"]
    cells = [
        f"{sum(one < other for one, other in zip(found, subset, strict=True))} of {len(found)}; {max(found):.4f}"
        for found in ratios.values()
    ]
    return "|".join(["better than the subset within one standard error on; worst", "", *cells])


def _summary(ratios: dict[str, list[float]]) -> str:
    cells = [
        f"{statistics.geometric_mean(found):.4f}; best on {sum(_best(ratios, row) == rule for row in range(len(found)))}"
        for rule, found in ratios.items()
    ]
    return "|".join(["geometric mean", "", *cells])


def _best(ratios: dict[str, list[float]], row: int) -> str:
    return min(ratios, key=lambda rule: ratios[rule][row])


SECTIONS: dict[str, Callable[[], str]] = {"ensemble_rules": ensemble_rules}
