"""Windowed aggregates at points in time, beside polars' rolling functions."""

import statistics
import tempfile
from collections.abc import Callable

from benchmarks.measure import alternate, median, median_peak, run
from benchmarks.page import table, verdict

EVENTS, ENTITIES, ROWS, RUNS = 1_000_000, 50_000, 1_000_000, 5


def point_in_time_windows() -> str:
    """Ten windowed aggregates of a million rows at their points in time, beside polars' rolling functions by hand."""
    with tempfile.TemporaryDirectory() as folder:
        run("feature_data", folder, *map(str, (EVENTS, ENTITIES, ROWS)))
        by_hand, ours = alternate(RUNS, ("feature_windows", "polars", folder), ("feature_windows", "ours", folder))
    first, second = by_hand[0].answer["sums"], ours[0].answer["sums"]
    differ = max(abs(first[name] - second[name]) / abs(first[name]) for name in first)
    pairs = list(zip(ours, by_hand, strict=True))
    time, cpu = (statistics.median(a.answer[key] / b.answer[key] for a, b in pairs) for key in ("wall_s", "cpu_s"))
    lines = [
        f"{name}|{median(costs, 'wall_s'):.2f}|{median(costs, 'cpu_s'):.2f}|{median_peak(costs):,.0f}"
        for name, costs in (("polars rolling_*_by by hand", by_hand), ("ours", ours))
    ]
    return (
        f"{ROWS:,} rows asked about, {EVENTS:,} events of {ENTITIES:,} entities over 90 days; sum, mean, std, min and max "
        f"of ten columns over 7 and 30 days before t; medians of {RUNS} processes in turn, imports not counted.\n\n"
        + table("|wall s|CPU s|peak MiB", *lines)
        + f"\n\nOurs takes {time:.2f}x the wall time and {cpu:.2f}x the CPU time; sums of features differ by at most "
        f"{differ:.0e} of themselves: {verdict(differ < 1e-9)}."
    )


SECTIONS: dict[str, Callable[[], str]] = {"point_in_time_windows": point_in_time_windows}
