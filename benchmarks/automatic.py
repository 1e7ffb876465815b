"""The automatic portfolio on sets of several kinds: against repeat-last, and against its own best member."""

import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.measure import run
from benchmarks.page import table, verdict

BUDGETS = {"exchange": 20, "bike_sharing": 60, "electricity": 30, "co2": 15, "vix": 15}


def auto() -> str:
    """The choice of `forecasting/auto` on five sets, within its CPU budget."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = [f"{name}={budget}" for name, budget in BUDGETS.items()]
        found = run("automatic", folder, *jobs).answer["sets"]
    return text_of(found)


def text_of(found: list[dict[str, Any]]) -> str:
    """The section.

    Args:
        found: What the program measured, by set.
    """
    rows = [_row(measured) for measured in found]
    return (
        "`forecasting/auto` on each set with seed 0, all else found in the data but the horizons of exchange rates (96), CO2 (52) "
        "and VIX (21). MSE of the test split in standard units; the best member is the candidate with the lowest test error "
        "of all that were fitted, which nothing knows beforehand; CPU seconds are those of the whole fit, reading and "
        "choice included. On exchange rates the row to keep up with is repeat-last.\n\n"
    ) + table("set|budget, CPU s|used|weights|MSE|best member|its MSE|ratio|aim|", *rows)


def _row(found: dict[str, Any]) -> str:
    against, aim = min(found["members"], key=found["members"].get), 1.02
    if found["name"] == "exchange":
        against, aim = "repeat_last", 1.01
    best = found["members"][against]
    ratio, used = found["mse"] / best, found["cpu_seconds"]
    weights = {name: record["weight"] for name, record in found["candidates"].items() if record["chosen"]}
    chosen = " + ".join(f"{weights[name]:.2f} {name}" for name in sorted(weights, key=weights.get, reverse=True))
    return (
        f"{found['name']}|{found['budget']:g}|{used:.0f}|{chosen}|{found['mse']:.4f}|{against}|{best:.4f}|{ratio:.3f}|"
        f"{aim} within budget|{verdict(ratio <= aim and used <= found['budget'])}"
    )


SECTIONS: dict[str, Callable[[], str]] = {"auto": auto}
