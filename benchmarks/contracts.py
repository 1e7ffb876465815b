"""Data contracts beside pandera and a query by hand."""

import tempfile
from collections.abc import Callable

from benchmarks.measure import alternate, median, median_peak, run
from benchmarks.page import table, verdict

_KINDS = {
    "ours": "contract, table in memory",
    "parquet": "contract, parquet file as a stream",
    "pandera": "pandera, table in memory",
    "polars": "one polars query by hand, table in memory",
}


def contract_checks() -> str:
    """15 rules on a million rows of 13 columns."""
    with tempfile.TemporaryDirectory() as place:
        run("contract_cost", "make", place)
        found = alternate(5, *[("contract_cost", kind, place) for kind in _KINDS])
    rows = []
    for (kind, name), costs in zip(_KINDS.items(), found, strict=True):
        wall, cpu = 1000 * median(costs, "wall_s"), 1000 * median(costs, "cpu_s")
        aim = f"100 ms: {verdict(wall <= 100)}" if kind == "ours" else ""
        rows.append(f"{name}|{wall:.0f}|{cpu:.0f}|{median_peak(costs):.0f}|{aim}|")
    return (
        "9 ranges, and one rule each on missing values, uniqueness (a million different numbers), order in time, a "
        "pattern (a million texts), allowed values and the number of rows; the table keeps all of them. Medians of 9 "
        "checks in each of 5 processes in turn; imports and reading into memory do not count. The query by hand says "
        "no more than yes or no.\n\n"
    ) + table("|wall ms|CPU ms|MiB|aim|", *rows)


SECTIONS: dict[str, Callable[[], str]] = {"contract_checks": contract_checks}
