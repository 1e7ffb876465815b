"""Scoring progress: rows per second and the remaining time."""

import time

from rich.console import Console

from lightning_app.terminal import plain_console

_SECONDS = 5.0


class RowProgress:
    """Progress line that is redrawn on a terminal, and printed every few seconds elsewhere.

    Args:
        num_rows: Total number of rows; None if it is unknown.
        console: Console to print on.
    """

    def __init__(self, num_rows: int | None, *, console: Console | None = None) -> None:
        self.num_rows = num_rows
        self.console = console or plain_console(stderr=True)
        self._start: tuple[float, int] | None = None
        self._next = 0.0

    def update(self, num_done: int, num_rejected: int) -> None:
        """Prints the progress if enough time has passed.

        Args:
            num_done: Finished rows; the first call sets the number that an earlier run had finished.
            num_rejected: Rejected rows among them.
        """
        now = time.monotonic()
        if self._start is None:
            self._start, self._next = (now, num_done), now + _SECONDS / 5
        if now < self._next:
            return
        self._next = now + (0.25 if self.console.is_terminal else _SECONDS)
        self.console.print(
            self.line(num_done, num_rejected, now), end="\r" if self.console.is_terminal else "\n", highlight=False
        )

    def line(self, num_done: int, num_rejected: int, now: float) -> str:
        """Text of the line.

        Args:
            num_done: Finished rows.
            num_rejected: Rejected rows among them.
            now: Seconds of the monotonic clock.
        """
        assert self._start is not None
        since, before = self._start
        speed = (num_done - before) / max(now - since, 1e-9)
        of_all = f" of {self.num_rows:,}" if self.num_rows is not None else ""
        words = [f"{num_done:,}{of_all} rows", f"{speed:,.0f} rows/s"]
        if self.num_rows is not None and speed > 0:
            words.append(f"about {max(0, self.num_rows - num_done) / speed:,.0f} s left")
        if num_rejected:
            words.append(f"{num_rejected:,} rejected")
        return ", ".join(words)
