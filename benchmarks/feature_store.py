"""Features beside Feast 0.67: tables at points in time, materialisation, online reads."""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.measure import ROOT, Cost, alternate, median, median_peak, run
from benchmarks.page import table, verdict

PEER = ROOT / ".peer" / "feast"
EVENTS, ENTITIES, ROWS = 1_000_000, 50_000, 1_000_000
RUNS = 5
READS = {1: 2_000, 100: 400, 1_000: 60}
"""Reads of each size in one process."""
DATA = (
    f"{EVENTS:,} events of {ENTITIES:,} entities over 90 days, 10 features of type float, TTL 7 days; a feature is the newest "
    f"value before t, the only kind that Feast has; medians of {RUNS} processes in turn, imports not counted.\n\n"
)


def peer_python() -> str:
    """Feast's interpreter, installed into an environment of its own at first use."""
    if not (PEER / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(PEER / "bin" / "pip"), "install", "--quiet", "feast[duckdb]==0.67.0"], check=True)
        (PEER / ".installed").touch()
    return f"python={PEER / 'bin' / 'python'}"


@contextmanager
def data() -> Iterator[tuple[str, str]]:
    """A folder with the data and a Feast repository that was applied, and the peer's interpreter."""
    peer = peer_python()
    with tempfile.TemporaryDirectory() as folder:
        run("feature_data", folder, *map(str, (EVENTS, ENTITIES, ROWS)))
        run("feast_peer", "apply", folder, python=peer.removeprefix("python="))
        yield folder, peer


def point_in_time() -> str:
    """Ten features of a million rows at their points in time, beside polars' join_asof and Feast on DuckDB."""
    with data() as (folder, peer):
        by_hand, ours, feast = alternate(
            RUNS,
            ("feature_table", "polars", folder),
            ("feature_table", "ours", folder),
            ("feast_peer", "history", folder, peer),
        )
    time, wall = ratio(ours, by_hand, "cpu_s"), ratio(ours, by_hand, "wall_s")
    memory, faster = median_peak(ours) / median_peak(by_hand), ratio(feast, ours, "cpu_s")
    same = len(
        {
            (cost.answer["rows"], cost.answer["known"], round(cost.answer["sum"], 6))
            for cost in (*by_hand, *ours, *feast)
        }
    )
    lines = [
        f"{name}|{median(costs, 'wall_s'):.2f}|{median(costs, 'cpu_s'):.2f}|{whole(costs):.1f}|{median_peak(costs):,.0f}"
        for name, costs in (("polars join_asof by hand", by_hand), ("ours", ours), ("Feast, type duckdb", feast))
    ]
    return (
        f"{ROWS:,} rows asked about; {DATA}"
        + table("|wall s|CPU s|CPU s with imports|peak MiB", *lines)
        + "\n\n"
        + table(
            "|aim|measured|",
            f"CPU to join_asof|1.3x|{time:.2f}x (wall {wall:.2f}x)|{verdict(time <= 1.3)}",
            f"memory to join_asof|1.5x|{memory:.2f}x|{verdict(memory <= 1.5)}",
            f"CPU of Feast to ours|5x|{faster:.1f}x (wall {ratio(feast, ours, 'wall_s'):.1f}x)|{verdict(faster >= 5)}",
            f"rows, known values and their sum|the same|{'the same' if same == 1 else 'different'}|{verdict(same == 1)}",
        )
    )


def materialize() -> str:
    """Newest values of all entities into SQLite, beside Feast."""
    with data() as (folder, peer):
        ours, feast = alternate(
            RUNS, ("online_features", "materialize", folder), ("feast_peer", "materialize", folder, peer)
        )
    faster = ratio(feast, ours, "cpu_s")
    lines = [
        f"{name}|{median(costs, 'wall_s'):.2f}|{median(costs, 'cpu_s'):.2f}|{median_peak(costs):,.0f}|"
        f"{median(costs, 'bytes') / 1e6:.1f}"
        for name, costs in (("ours", ours), ("Feast", feast))
    ]
    wall = ratio(feast, ours, "wall_s")
    aim = f"CPU of Feast to ours {faster:.1f}x (wall {wall:.1f}x); aim 10x: {verdict(faster >= 10)}."
    return DATA + table("|wall s|CPU s|peak MiB|store, MB", *lines) + f"\n\n{aim}"


def online_read() -> str:
    """Features of 1, 100 and 1,000 entities from SQLite, beside Feast."""
    aims = {1: 0.05, 100: 0.4, 1_000: 4.0}
    with data() as (folder, peer):
        run("online_features", "materialize", folder)
        run("feast_peer", "materialize", folder, python=peer.removeprefix("python="))
        lines = []
        for batch, times in READS.items():
            words = (folder, str(batch), str(times), str(ENTITIES))
            ours, feast = alternate(RUNS, ("online_features", "read", *words), ("feast_peer", "read", *words, peer))
            p50, faster = median(ours, "p50_ms"), ratio(feast, ours, "p50_ms")
            wanted = f"20x: {verdict(faster >= 20)}" if batch == 100 else ""
            lines.append(
                f"{batch:,}|{p50:.3f} / {median(ours, 'p99_ms'):.3f}|{median(ours, 'cpu_ms'):.3f}|"
                f"{aims[batch]} ms: {verdict(p50 <= aims[batch])}|"
                f"{median(feast, 'p50_ms'):.3f} / {median(feast, 'p99_ms'):.3f}|{median(feast, 'cpu_ms'):.3f}|"
                f"{faster:.1f}x|{wanted}"
            )
    columns = "entities|ours p50 / p99, ms|CPU ms|aim of p50|Feast p50 / p99, ms|CPU ms|ratio of p50|aim"
    return DATA + table(columns, *lines)


def whole(costs: Sequence[Cost]) -> float:
    """Median of the CPU seconds of whole processes."""
    return statistics.median(cost.cpu_seconds for cost in costs)


def ratio(first: Sequence[Cost], second: Sequence[Cost], key: str) -> float:
    """Median of the ratios of runs that were measured one after the other."""
    return statistics.median(one.answer[key] / other.answer[key] for one, other in zip(first, second, strict=True))


SECTIONS: dict[str, Callable[[], str]] = {
    "point_in_time": point_in_time,
    "materialize": materialize,
    "online_read": online_read,
}
