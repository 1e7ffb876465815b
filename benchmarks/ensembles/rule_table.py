"""Rules that choose members, side by side on pools of series."""

import statistics
from collections.abc import Callable

from torch import Tensor

from benchmarks.ensembles.fits import cost, fitted
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
    """Rules that choose the members of an ensemble, on eleven pools."""
    val_ratios: dict[str, list[float]] = {rule: [] for rule in RULES}
    test_ratios: dict[str, list[float]] = {rule: [] for rule in RULES}
    val_rows, test_rows = [], []
    pools = fitted(POOLS)
    for pool in pools:
        first, second = halves(pool.products["val"], pool.horizon)
        for (chosen_on, judged_on), ratios, rows in (
            ((first, second), val_ratios, val_rows),
            ((pool.products["val"], pool.products["test"]), test_ratios, test_rows),
        ):
            found = {rule: choose(chosen_on, pool.values, pool.horizon) for rule, choose in RULES.items()}
            errors = {rule: mse(judged_on, weights, pool.values) for rule, weights in found.items()}
            for rule, error in errors.items():
                ratios[rule].append(error / errors["all"])
            cells = [
                f"{error / errors['all']:.4f} ({int((found[rule] > 1e-3).sum())})" if rule != "all" else f"{error:.4f}"
                for rule, error in errors.items()
            ]
            rows.append("|".join([pool.title, str(len(pool.names)), *cells]))
    header = "|".join(["pool", "members", *(rule if rule != "all" else "mean of all, MSE" for rule in RULES)])
    return (
        "MSE relative to the mean of all members, and how many members are taken. First chosen on the first half of "
        "validation and judged on the second:\n\n"
        + table(header, *val_rows, _summary(val_ratios))
        + "\n\nThen chosen on validation and judged on test:\n\n"
        + table(header, *test_rows, _summary(test_ratios))
        + cost(pools)
    )


def _summary(ratios: dict[str, list[float]]) -> str:
    cells = [
        f"{statistics.geometric_mean(found):.4f}; best on {sum(_best(ratios, row) == rule for row in range(len(found)))}"
        for rule, found in ratios.items()
    ]
    return "|".join(["geometric mean", "", *cells])


def _best(ratios: dict[str, list[float]], row: int) -> str:
    return min(ratios, key=lambda rule: ratios[rule][row])


SECTIONS: dict[str, Callable[[], str]] = {"ensemble_rules": ensemble_rules}
