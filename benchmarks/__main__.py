"""`make bench`: every number that the project claims, measured here; writes benchmarks/results.md.

usage: python -m benchmarks [SECTION ...]   (default: all of them)
"""

import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks import forecasting, graph, optimize, production, recurrent, registry, scoring, sweeps
from benchmarks.measure import ROOT

RESULTS = ROOT / "benchmarks" / "results.md"
SECTIONS: dict[str, Callable[[], str]] = (
    forecasting.SECTIONS
    | recurrent.SECTIONS
    | graph.SECTIONS
    | sweeps.SECTIONS
    | production.SECTIONS
    | registry.SECTIONS
    | scoring.SECTIONS
    | optimize.SECTIONS
)
HEAD = """# Results

What this project measured of itself, misses included. `make bench` writes this page; each section says when and
with which versions it was measured. One thread of a shared CPU: quote ratios and CPU seconds rather than wall time.
Protocol of the long-horizon literature: standardised scale, all test windows of stride 1, none dropped, whatever is
chosen is chosen on validation.
"""


def main(names: list[str]) -> None:
    text = RESULTS.read_text() if RESULTS.exists() else ""
    for name in names or SECTIONS:
        started = datetime.now(UTC)
        body = SECTIONS[name]()
        stamp = (
            f"Measured {started:%Y-%m-%d}: {platform.machine()}, {os.cpu_count()} cores, Python "
            f"{platform.python_version()}, torch {version('torch')}, lightning {version('lightning')}."
        )
        title = name.replace("_", " ").capitalize()
        section = f"<!-- {name} -->\n## {title}\n\n{body}\n\n{stamp}\n"
        old = re.findall(r"<!-- (\w+) -->\n(.*?)(?=<!-- |\Z)", text, re.DOTALL)
        sections = {key: f"<!-- {key} -->\n{value.rstrip()}\n" for key, value in old} | {name: section}
        text = "\n".join([HEAD, *(sections[key] for key in SECTIONS if key in sections)])
        RESULTS.write_text(text)
        print(body, flush=True)


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in SECTIONS]
    if unknown:
        sys.exit(f"unknown section {unknown[0]!r}, allowed: {', '.join(SECTIONS)}")
    main(sys.argv[1:])
