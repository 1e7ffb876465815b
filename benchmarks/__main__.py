"""`make bench`: every number that the project claims, measured here; writes benchmarks/results.md.

usage: python -m benchmarks [SECTION ...]   (default: all of them)
       python -m benchmarks --list          sections, what each measures, and how long it took
       python -m benchmarks --page          writes the page anew around what was measured
"""

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from benchmarks import (
    automatic,
    cold_start,
    contracts,
    ensembles,
    experiments,
    feature_replay,
    feature_store,
    feature_windows,
    forecasting,
    graph,
    monitoring,
    named_networks,
    online_store,
    optimize,
    production,
    recurrent,
    registry,
    retraining,
    scoring,
    serving,
    sweeps,
    tables,
    tabular,
    text,
    transfer,
)
from benchmarks.durations import ESTIMATES
from benchmarks.results_page import RESULTS, Measured, read_page, render_page, stamp

SECTIONS: dict[str, Callable[[], str]] = (
    forecasting.SECTIONS
    | named_networks.SECTIONS
    | automatic.SECTIONS
    | ensembles.SECTIONS
    | cold_start.SECTIONS
    | recurrent.SECTIONS
    | graph.SECTIONS
    | sweeps.SECTIONS
    | production.SECTIONS
    | registry.SECTIONS
    | scoring.SECTIONS
    | optimize.SECTIONS
    | tabular.SECTIONS
    | tables.SECTIONS
    | feature_store.SECTIONS
    | feature_windows.SECTIONS
    | feature_replay.SECTIONS
    | online_store.SECTIONS
    | contracts.SECTIONS
    | serving.SECTIONS
    | experiments.SECTIONS
    | monitoring.SECTIONS
    | retraining.SECTIONS
    | text.SECTIONS
    | transfer.SECTIONS
)


def main(names: Sequence[str]) -> None:
    """Measures sections one after the other; the page is written after each."""
    print(f"{len(names)} sections, {_total(names)}", flush=True)
    for name in names:
        print(f"\n{name}: {_duration(name)}", flush=True)
        started, load = datetime.now(UTC), os.getloadavg()[0]
        body = SECTIONS[name]()
        measured = Measured(body, stamp(started, load))
        RESULTS.write_text(render_page(read_page() | {name: measured}, SECTIONS))
        print(f"{body}\n\n{measured.stamp}", flush=True)


def show_list() -> None:
    """Prints every section with how long it takes."""
    for name, measure in SECTIONS.items():
        what = (measure.__doc__ or "").strip().splitlines()[0]
        print(f"{name:22} {_duration(name):>28}  {what}")
    print(f"{len(SECTIONS)} sections, {_total(list(SECTIONS))}")


def _recorded(name: str) -> float | None:
    measured = read_page().get(name)
    return measured.seconds if measured else None


def _seconds(name: str) -> float:
    recorded = _recorded(name)
    return ESTIMATES.get(name, 0.0) if recorded is None else recorded


def _duration(name: str) -> str:
    recorded = _recorded(name)
    if recorded is not None:
        return f"{_time(recorded)} last time"
    return f"about {_time(ESTIMATES[name])}, estimated" if name in ESTIMATES else "never timed"


def _total(names: Sequence[str]) -> str:
    never = [name for name in names if _recorded(name) is None]
    known = [name for name in never if name in ESTIMATES]
    text = f"about {_time(sum(_seconds(name) for name in names))} in all on a machine as the page names it"
    if known:
        text += f", of which {_time(sum(ESTIMATES[name] for name in known))} are estimates for {len(known)} sections"
    unknown = [name for name in never if name not in ESTIMATES]
    return text + (f", without {', '.join(unknown)}, never timed" if unknown else "")


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


if __name__ == "__main__":
    words = sys.argv[1:]
    unknown = [word for word in words if word not in SECTIONS]
    if words in (["--help"], ["-h"]):
        print(__doc__)
    elif words == ["--list"]:
        show_list()
    elif words == ["--page"]:
        RESULTS.write_text(render_page(read_page(), SECTIONS))
    elif unknown:
        sys.exit(f"unknown section {unknown[0]!r}, allowed: {', '.join(SECTIONS)}")
    else:
        main(words or list(SECTIONS))
