"""Metrics history of a run: `metrics.csv` with one row per logged step, and `metrics.json`.

In `metrics.json`, `val/...` are of the checkpoint that `best.ckpt` holds, those of the last validation `last/val/...`.
"""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lightning_app.atomic_write import replacing
from lightning_app.errors.full_disk import names_full_disk
from lightning_app.runs.run_folder import RunFolder

_VALIDATION = "val/"
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
        self._validated = ""
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
        self.log_rows([(step or 0, metrics)])

    @rank_zero_only
    def log_rows(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Appends several rows at once.

        Args:
            rows: Step and metrics of each.
        """
        added = [{"step": step, **metrics} for step, metrics in rows]
        new = [name for name in dict.fromkeys(name for row in added for name in row) if name not in self._columns]
        if new or not self.folder.history.exists():
            before = read_history(self.folder.history)
            self._columns = list(dict.fromkeys([*(before[0] if before else ()), *self._columns, *new]))
            self._write([*before, *added])
        else:
            with names_full_disk(self.folder.history), self.folder.history.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerows(added)
            self.num_rows += len(added)
        for _, metrics in rows:
            self._last.update({name: float(value) for name, value in metrics.items() if name != "epoch"})

    @override
    @rank_zero_only
    def save(self) -> None:
        """Writes `metrics.json`, at most once per second: Lightning calls this after every logged row."""
        now = time.monotonic()
        if self._last and now >= self._next_save:
            self._next_save = now + _SAVE_SECONDS
            self.update(self._last)

    @rank_zero_only
    def update(self, metrics: Mapping[str, float]) -> None:
        """Sets the last value of some metrics in `metrics.json`, and keeps the others.

        Args:
            metrics: Metrics by name, those of a validation as `val/...` whichever weights were validated.
        """
        self.folder.update_metrics(self._named(metrics))

    def validates(self, checkpoint: str) -> None:
        """Names which weights the rows of validations are of from now on.

        Args:
            checkpoint: Stem of their file, which goes before the names in `metrics.json`; `last` for those of the last
                epoch. Empty for the chosen ones, and for those of a fit that has chosen none.
        """
        self._validated = checkpoint

    @rank_zero_only
    def keep_best(self, metrics: Mapping[str, float]) -> None:
        """Writes the validation of `best.ckpt` as `val/...`, and with its epoch and step as `best/...`.

        Args:
            metrics: Metrics of the validation that chose it, `epoch` and `step`.
        """
        of_validation = {name: value for name, value in metrics.items() if name.startswith(_VALIDATION)}
        if of_validation:  # a third-party LightningModule may use names without our prefixes
            self.validates("last")
        best = {f"best/{name}": value for name, value in metrics.items()}
        self.folder.update_metrics({**self._named(self._last), **best, **of_validation})

    def _named(self, metrics: Mapping[str, float]) -> dict[str, float]:
        if not self._validated:
            return dict(metrics)
        start = f"{self._validated}/"
        return {(start if name.startswith(_VALIDATION) else "") + name: value for name, value in metrics.items()}

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
