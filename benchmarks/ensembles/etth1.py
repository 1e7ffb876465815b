"""An ensemble on ETTh1, its members chosen on validation."""

from collections.abc import Callable

from benchmarks.ensembles.fits import cost, fitted
from benchmarks.ensembles.rules import all_members, mse, one_more_horizon
from benchmarks.page import table, verdict
from models.forecasting.member_weights import describe_weights

_AIMS = {96: 0.352, 192: 0.389, 336: 0.411, 720: 0.421}
_OVER_MEAN = 0.001


def ensemble() -> str:
    """Ridges, linear layers, phase transformer, N-BEATS and TiDE together, on ETTh1."""
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
        kept.append(f"{pool.horizon}: {describe_weights(weights.tolist(), pool.names)}")
    return (
        "Members: ridge with one map (look-back 336 and 504) and with one of each channel (504), linear layers with one map and "
        "with one of each channel (720), phase transformer (504), N-BEATS with two seeds and TiDE (336), weighed on validation; MSE "
        "on ETTh1. The aim beside the mean of all members is at most "
        f"{_OVER_MEAN} above it.\n\n"
        + table(
            "horizon|aim|weighed on validation|aim|members|mean of all|aim|best single member on validation",
            *rows,
        )
        + f"\n\nWeights: {'; '.join(kept)}."
        + cost(pools)
    )


SECTIONS: dict[str, Callable[[], str]] = {"ensemble": ensemble}
