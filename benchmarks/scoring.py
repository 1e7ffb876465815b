"""Tables through a package, beside the loop that one would write by hand."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.measure import Cost, alternate, median, median_peak, run
from benchmarks.page import table, verdict

_ROWS = 1_000_000


def score_table() -> str:
    """A million rows through a small perceptron."""
    with tempfile.TemporaryDirectory() as place:
        run("score_table", "make", place, str(_ROWS), "8", "1")
        bare, ours = alternate(5, ("score_table", "bare", place, "1"), ("score_table", "local", place, "1"))
        same = _column(place, "bare").equals(_column(place, "local"))
    peak = median_peak(ours)
    rows = []
    for counted, suffix in (("imports counted", "_with_imports_s"), ("imports not counted", "_s")):
        ratio = _ratio(bare, ours, f"wall{suffix}")
        for name, costs, cells in (
            ("pyarrow and ONNX Runtime by hand", bare, "||"),
            ("lightning-app score", ours, f"{ratio:.2f}x|0.9x, 700 MiB: {verdict(ratio >= 0.9 and peak <= 700)}|"),
        ):
            per_s, cpu = _ROWS / median(costs, f"wall{suffix}"), 1e6 * median(costs, f"cpu{suffix}") / _ROWS
            rows.append(f"{name}, {counted}|{per_s:,.0f}|{cpu:.2f}|{median_peak(costs):.0f}|{cells}")
    return (
        f"1,000,000 rows of 32 float32 (parquet, row groups of 131,072) through a perceptron with 8 hidden units, one "
        f"session; medians of 5 processes in turn. The loop reads, asks and writes by hand, with no check of a row, no "
        f"version, no timestamp and nothing that survives a kill. Imports take as long however many rows there are. Answers "
        f"equal to the bit: {same}.\n\n"
    ) + table("|rows per s|CPU us per row|MiB|to the loop|aim|", *rows)


def score_cores() -> str:
    """Two sessions on two cores, on two models that take longer than reading and writing."""
    num_rows = 60_000
    rows = []
    for name, hidden, layers in (
        ("one hidden layer of 32,768", "32768", "1"),
        ("two hidden layers of 1,536", "1536", "2"),
    ):
        with tempfile.TemporaryDirectory() as place:
            run("score_table", "make", place, str(num_rows), hidden, layers)
            one, two = alternate(3, ("score_table", "local", place, "1"), ("score_table", "local", place, "2"))
        seconds = [median(costs, "wall_s") for costs in (one, two)]
        ratio = _ratio(one, two, "wall_s")
        rows.append(
            f"{name}|{1e6 * seconds[0] / num_rows:.0f}|{seconds[0]:.1f}|{seconds[1]:.1f}|{ratio:.2f}x|"
            f"1.6x: {verdict(ratio >= 1.6)}|"
        )
    return "60,000 rows, medians of 3 processes in turn; imports do not count.\n\n" + table(
        "|us per row|1 session, wall s|2 sessions, wall s|ratio|aim|", *rows
    )


def score_ray() -> str:
    """Ray Data as the engine."""
    rows = 200_000
    with tempfile.TemporaryDirectory() as place:
        run("score_table", "make", place, str(rows), "1024", "1")
        local = run("score_table", "local", place, "2")
        bare, ours = alternate(3, ("score_table", "ray-bare", place, "2"), ("score_table", "ray", place, "2"))
        same = _column(place, "local").equals(_column(place, "ray"))
    ratio = _ratio(bare, ours, "wall_s")
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


def _ratio(slow: list[Cost], fast: list[Cost], key: str) -> float:
    """Median over the rounds, in each of which both ran one after the other."""
    return statistics.median(one.answer[key] / other.answer[key] for one, other in zip(slow, fast, strict=True))


def _column(place: str, kind: str) -> pl.Series:
    return pl.read_parquet(Path(place) / f"{kind}.parquet")["price"]


SECTIONS: dict[str, Callable[[], str]] = {
    "score_table": score_table,
    "score_cores": score_cores,
    "score_ray": score_ray,
}
