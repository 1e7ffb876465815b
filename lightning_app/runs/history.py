"""Metrics history of a run: `metrics.csv` with one row per logged step, `metrics.json` with the last values."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lightning_app.atomic_write import replacing
from lightning_app.errors.full_disk import names_full_disk
from lightning_app.runs.run_folder import RunFolder

_SAVE_SECONDS = 1.0


class History(Logger):
    """Logger that appends each row to `metrics.csv` immediately, so that a killed run keeps its metrics.

    Args:
        folder: Run folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.num_rows = 0
        self._columns: list[str] = []
        self._last: dict[str, float] = {}
        self._next_save = 0.0

    @property
    @override
    def name(self) -> str:
        return ""  # Lightning's callbacks write to save_dir/name/version: this makes it the run folder

    @property
    @override
    def version(self) -> str:
        return ""

    @property
    @override
    def save_dir(self) -> str:
        return str(self.folder.path)

    @property
    @rank_zero_experiment
    def experiment(self) -> "History":
        """The logger itself; Lightning requires the attribute."""
        return self

    @override
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the run folder already holds the resolved config."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": step or 0, **metrics}
        new = [name for name in row if name not in self._columns]
        if new or not self.folder.history.exists():
            rows = read_history(self.folder.history)
            self._columns = list(dict.fromkeys([*(rows[0] if rows else ()), *self._columns, *new]))
            self._write([*rows, row])
        else:
            with names_full_disk(self.folder.history), self.folder.history.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(row)
            self.num_rows += 1
        self._last.update({name: float(value) for name, value in metrics.items() if name != "epoch"})

    @override
    @rank_zero_only
    def save(self) -> None:
        """Writes `metrics.json`, at most once per second: Lightning calls this after every logged row."""
        now = time.monotonic()
        if self._last and now >= self._next_save:
            self._next_save = now + _SAVE_SECONDS
            self.folder.update_metrics(self._last)

    @override
    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._next_save = 0.0
        self.save()

    @rank_zero_only
    def inherit(self, parent: Path, step: int, *, num_rows: int) -> None:
        """Copies the rows of the run that this one continues.

        Args:
            parent: Its `metrics.csv`.
            step: Global step (optimizer steps) of the checkpoint. The row of that step may have been written after the
                checkpoint was saved.
            num_rows: Number of rows written when the checkpoint was saved.
        """
        rows = read_history(parent)
        rows = [row for index, row in enumerate(rows) if index < num_rows or int(row["step"]) < step]
        if rows:
            self._columns = list(rows[0])
            self._write(rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with replacing(self.folder.history) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        self.num_rows = len(rows)


def read_history(path: Path) -> list[dict[str, Any]]:
    """Reads a `metrics.csv`.

    Returns:
        One dict of strings per row; empty if the file does not exist.

    Raises:
        ValueError: The file is damaged.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        known = all(None not in row and (row["step"] or "").isdecimal() for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        known = False
    if not known:
        raise ValueError(
            f"{path} is damaged: no table of metrics by step; restore it from a copy of the run, or remove it"
        )
    return rows
