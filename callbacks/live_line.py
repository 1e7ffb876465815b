"""Live line of progress: redrawn in place in a terminal, printed every few seconds elsewhere."""

import math
import sys
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

_REFRESH_SECONDS = 0.2
_LINE_SECONDS = 10.0
_WIDE = 100  # columns from which the bar may be long


class LiveLine:
    """One line, cut to the width of the terminal as it is at that moment; it is gone when it is stopped.

    Elsewhere than in a terminal (a pipe, a file, a notebook) the line is printed every ten seconds.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._next = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None}  # a terminal is of one process

    def __enter__(self) -> "LiveLine":
        self.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def begin(self) -> None:
        """Starts the line in a terminal, if it is not there yet; elsewhere the time to the next line begins."""
        console = Console(file=sys.stdout)
        self._next = time.perf_counter() + (0.0 if _is_live(console) else _LINE_SECONDS)
        if self._live is None and _is_live(console):
            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.start()

    def is_due(self, now: float) -> bool:
        """Whether it is time to show it again.

        Args:
            now: `time.perf_counter()`.
        """
        return now >= self._next

    def show(self, label: str, done: int, total: float, *, seconds: float, details: str = "") -> None:
        """Shows it.

        Args:
            label: What is going on.
            done: Parts of it that are done.
            total: Parts in all; infinite where that is not known.
            seconds: That the parts took, for the time left.
            details: Further words, the first to be cut where the terminal is narrow.
        """
        self._next = time.perf_counter() + (_LINE_SECONDS if self._live is None else _REFRESH_SECONDS)
        known = math.isfinite(total) and total > 0
        count = f"{done:,}/{int(total):,}" if known else f"{done:,}"
        left = _format_duration(seconds / done * (total - done)) if known and done else ""
        if self._live is None:
            self.print("  ".join(word for word in (label, count, left and f"{left} left", details) if word))
            return
        width = 24 if self._live.console.width >= _WIDE else 10
        filled = round(width * min(done / total, 1.0)) if known else 0
        bar = ("━" * filled, "cyan"), ("─" * (width - filled), "dim")
        words = (f"{label} ", *bar, f" {count} ", (left, "cyan"), f"  {details}")
        line = Text.assemble(*words, no_wrap=True, overflow="ellipsis")
        self._live.update(line, refresh=True)

    def print(self, text: str) -> None:
        """Prints a line above it, which no width cuts.

        Args:
            text: One line.
        """
        console = self._live.console if self._live is not None else Console(file=sys.stdout)
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    def stop(self) -> None:
        """Removes it."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _is_live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal and not console.is_jupyter


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
