"""An ensemble on ETTh1, its members chosen on validation."""

from collections.abc import Callable

from benchmarks.ensembles.fits import cost, fitted
from benchmarks.ensembles.rules import all_members, mse, one_more_horizon
from benchmarks.page import table, verdict

_AIMS = {96: 0.352, 192: 0.389, 336: 0.411, 720: 0.421}
_OVER_MEAN = 0.001


def ensemble() -> str:
    """Ridge, linear layer and phase transformer together, on ETTh1."""
    rows, kept = [], []
    pools = fitted([f"etth1_{horizon}" for horizon in _AIMS])
    for pool, aim in zip(pools, _AIMS.values(), strict=True):
        weights = one_more_horizon(pool.products["val"], pool.values, pool.horizon)
        found = mse(pool.products["test"], weights, pool.values)
        mean = mse(pool.products["test"], all_members(pool.products["test"], pool.values, pool.horizon), pool.values)
        val, test = pool.errors("val"), pool.errors("test")
        best = val.index(min(val))
        rows.append(
            f"{pool.horizon}|{aim:.3f}|{found:.4f}|{verdict(found <= aim)}|{int((weights > 0).sum())} of {len(val)}|"
            f"{mean:.4f}|{verdict(found <= mean + _OVER_MEAN)}|{pool.names[best]} {test[best]:.4f}"
        )
        kept.append(
            f"{pool.horizon}: {', '.join(name for name, weight in zip(pool.names, weights, strict=True) if weight)}"
        )
    return (
        "Members: ridge with look-back 336 and 504, linear layer (720) and phase transformer (504), one seed each; "
        "MSE on ETTh1. The aim beside the mean of all members is at most "
        f"{_OVER_MEAN} above it.\n\n"
        + table(
            "horizon|aim|chosen on validation|aim|members|mean of all|aim|best single member on validation",
            *rows,
        )
        + f"\n\nChosen: {'; '.join(kept)}."
        + cost(pools)
    )


SECTIONS: dict[str, Callable[[], str]] = {"ensemble": ensemble}
