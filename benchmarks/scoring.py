"""Tables through a package, beside the loop that one would write by hand."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.measure import alternate, median, median_peak, run
from benchmarks.page import table, verdict

_ROWS = 1_000_000


def score_table() -> str:
    """A million rows through a small perceptron."""
    with tempfile.TemporaryDirectory() as place:
        run("score_table", "make", place, str(_ROWS), "8", "1")
        bare, ours = alternate(5, ("score_table", "bare", place, "1"), ("score_table", "local", place, "1"))
        same = _column(place, "bare").equals(_column(place, "local"))
    speeds = [_ROWS / median(costs, "wall_s") for costs in (bare, ours)]
    cpu = [1e6 * median(costs, "cpu_s") / _ROWS for costs in (bare, ours)]
    ratio = statistics.median(b.answer["wall_s"] / o.answer["wall_s"] for b, o in zip(bare, ours, strict=True))
    peak = median_peak(ours)
    return (
        f"1,000,000 rows of 32 float32 (parquet, row groups of 131,072) through a perceptron with 8 hidden units, one "
        f"session; medians of 5 processes in turn. The loop reads, asks and writes by hand, with no check of a row, no "
        f"version, no timestamp and nothing that survives a kill; imports count for neither. Answers equal to the bit: {same}.\n\n"
    ) + table(
        "|rows per s|CPU us per row|MiB|to the loop|aim|",
        f"pyarrow and ONNX Runtime by hand|{speeds[0]:,.0f}|{cpu[0]:.2f}|{median_peak(bare):.0f}|||",
        f"lightning-app score|{speeds[1]:,.0f}|{cpu[1]:.2f}|{peak:.0f}|{ratio:.2f}x|"
        f"0.9x, 700 MiB: {verdict(ratio >= 0.9 and peak <= 700)}|",
    )


def score_cores() -> str:
    """A model that takes longer than reading and writing."""
    rows = 60_000
    with tempfile.TemporaryDirectory() as place:
        run("score_table", "make", place, str(rows), "1536", "2")
        one, two = alternate(3, ("score_table", "local", place, "1"), ("score_table", "local", place, "2"))
    seconds = [median(costs, "wall_s") for costs in (one, two)]
    ratio = statistics.median(o.answer["wall_s"] / t.answer["wall_s"] for o, t in zip(one, two, strict=True))
    return f"60,000 rows, two hidden layers of 1,536: {1e6 * seconds[0] / rows:.0f} us per row.\n\n" + table(
        "|1 session|2 sessions|ratio|aim|",
        f"wall s|{seconds[0]:.1f}|{seconds[1]:.1f}|{ratio:.2f}x|1.6x: {verdict(ratio >= 1.6)}|",
    )


def score_ray() -> str:
    """Ray Data as the engine."""
    rows = 200_000
    with tempfile.TemporaryDirectory() as place:
        run("score_table", "make", place, str(rows), "1024", "1")
        local = run("score_table", "local", place, "2")
        bare, ours = alternate(3, ("score_table", "ray-bare", place, "2"), ("score_table", "ray", place, "2"))
        same = _column(place, "local").equals(_column(place, "ray"))
    ratio = statistics.median(b.answer["wall_s"] / o.answer["wall_s"] for b, o in zip(bare, ours, strict=True))
    return (
        f"200,000 rows, 1,024 hidden units, two actors on one machine that runs Ray already, medians of 3. The bare way is "
        f"an actor pool over a table that Ray reads and writes itself. Answers equal to those of the local engine, bit for "
        f"bit: {same}.\n\n"
    ) + table(
        "|rows per s|to Ray's own|aim|",
        f"Ray Data's map_batches|{rows / median(bare, 'wall_s'):,.0f}|||",
        f"--engine ray|{rows / median(ours, 'wall_s'):,.0f}|{ratio:.2f}x|0.9x: {verdict(ratio >= 0.9 and same)}|",
        f"--engine local|{rows / local.answer['wall_s']:,.0f}|||",
    )


def _column(place: str, kind: str) -> pl.Series:
    return pl.read_parquet(Path(place) / f"{kind}.parquet")["price"]


SECTIONS: dict[str, Callable[[], str]] = {
    "score_table": score_table,
    "score_cores": score_cores,
    "score_ray": score_ray,
}
