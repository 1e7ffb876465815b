"""Results page: `benchmarks/results.md` as sections that are measured one by one and written around what was measured."""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.earlier import EARLIER
from benchmarks.measure import ROOT

RESULTS = ROOT / "benchmarks" / "results.md"
_SECTION = re.compile(r"<!-- (\w+) -->\n## .*?\n\n(.*?)(?=<!-- |\Z)", re.DOTALL)
_TAIL = re.compile(r"^(?:Earlier benchmark: |Measured \d{4}-)", re.MULTILINE)
_SECONDS = re.compile(r" in ([\d,]+) s\b")
_HEAD = """# Results

What this project measured of itself, misses included. `make bench` writes this page; each section says when and
with which versions it was measured, newer ones also for how long and under which load. One thread of a shared CPU:
quote ratios and CPU seconds rather than wall time. "CPU s" of a fit, an epoch or a step leaves out the start of the
process (Python, imports, config), unless the section says whole process or whole command. Protocol of the long-horizon
literature: standardised scale, all test windows of stride 1, none dropped, whatever is chosen is chosen on validation.
Where a benchmark, or what it measures, was changed after a result had been seen, the section ends with "Earlier
benchmark".

Of {total} verdicts {reached} are reached and {missed} missed; {changed} sections have an earlier benchmark.
"""


@dataclass(frozen=True)
class Measured:
    """What a section came to.

    Attributes:
        body: Text and tables of the program that measured.
        stamp: When, where and for how long.
    """

    body: str
    stamp: str

    @property
    def seconds(self) -> float | None:
        """How long it took; None where it was measured before that was written down."""
        found = _SECONDS.search(self.stamp)
        return float(found[1].replace(",", "")) if found else None


def stamp(started: datetime, load: float) -> str:
    """The last line of a section that ends now.

    Args:
        started: When it began, UTC.
        load: Load average of the minute before it began.
    """
    seconds = (datetime.now(UTC) - started).total_seconds()
    return (
        f"Measured {started:%Y-%m-%d} in {seconds:,.0f} s, load {load:.1f} before and {os.getloadavg()[0]:.1f} at the end: "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}, "
        f"lightning {version('lightning')}."
    )


def read_page() -> dict[str, Measured]:
    """The sections of the page by name."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    found = {}
    for name, content in _SECTION.findall(text):
        tail = _TAIL.search(content)
        end = tail.start() if tail else len(content)
        found[name] = Measured(content[:end].strip(), content[content.rfind("Measured ") :].strip())
    return found


def render_page(sections: dict[str, Measured], order: Iterable[str]) -> str:
    """The page around what was measured.

    Args:
        sections: By name.
        order: Names of all sections.
    """
    names = [name for name in order if name in sections]
    bodies = "\n".join(sections[name].body for name in names)
    missed = bodies.count("**missed**")
    reached = len(re.findall(r"(?:\| |: )reached\b", bodies))
    head = _HEAD.format(
        total=reached + missed, reached=reached, missed=missed, changed=sum(name in EARLIER for name in names)
    )
    return "\n".join([head, *(_section(name, sections[name]) for name in names)])


def _section(name: str, measured: Measured) -> str:
    title = name.replace("_", " ").capitalize()
    notes = [f"Earlier benchmark: {note}" for note in EARLIER.get(name, ())]
    return f"<!-- {name} -->\n## {title}\n\n" + "\n\n".join([measured.body, *notes, measured.stamp]) + "\n"
