"""Run folder: paths, metadata and lookup of the folder that holds everything about one fit."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from lightning_app.atomic_write import write_whole


@dataclass
class RunOptions:
    """Where a run is stored and how it is tracked.

    Attributes:
        name: Name of the experiment; null takes the name of the config file.
        root: Folder of all runs.
        wandb: `auto` is online if you are logged in to W&B (or WANDB_MODE says so), else offline.
        project: W&B project.
        entity: W&B user or team; null takes the default.
        tags: W&B tags.
        budget: CPU seconds of a fit, with all threads of its process; null for no end. See `callbacks.CpuBudget`.
    """

    name: str | None = None
    root: str = "runs"
    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "lightning-r2p"
    entity: str | None = None
    tags: list[str] = field(default_factory=list)
    budget: float | None = None


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def lineage(self) -> Path:
        """Lineage of the run, see `lineage.describe_lineage`."""
        return self.path / "lineage.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of `best.ckpt` and `last.ckpt`."""
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        """Metrics by step."""
        return self.path / "metrics.csv"

    @property
    def metrics(self) -> Path:
        """Last value of each metric, of validations that of `best.ckpt`."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """Report of the test."""
        return self.path / "report.md"

    @property
    def name(self) -> str:
        """Name of the experiment, also if the folder was copied elsewhere."""
        return str(self._section("run").get("name") or self.path.resolve().parent.name)

    @property
    def created(self) -> str:
        """Start of the run in UTC, sortable as text; taken from the folder's name if there is no lineage."""
        if self.lineage.is_file():
            return str(self.read_lineage().get("created", ""))
        name = self.path.name
        return f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}"

    @property
    def is_partial(self) -> bool:
        """Whether the run was fitted on a part of its data, e.g. with `trainer/debug.yaml`."""
        trainer = self._section("trainer")
        parts = (trainer.get("limit_train_batches"), trainer.get("limit_val_batches"))
        return bool(trainer.get("fast_dev_run") or trainer.get("overfit_batches")) or any(
            part is not None and part != 1.0 for part in parts
        )

    def root_of(self, name: str) -> str | None:
        """Folder of all runs that contains this one under an experiment name; None if this folder was copied elsewhere.

        Args:
            name: Name of the experiment.
        """
        parents = self.path.resolve().parents
        depth = len(Path(name).parts)
        return str(parents[depth]) if self.path.resolve().parts[-depth - 1 : -1] == Path(name).parts else None

    def checkpoint(self, *kinds: str) -> Path | None:
        """First existing file of `best.ckpt` and `last.ckpt`.

        Args:
            kinds: `best`, `last`, in order of preference.
        """
        paths = (self.checkpoints / f"{kind}.ckpt" for kind in kinds)
        return next((path for path in paths if path.exists()), None)

    def _section(self, key: str) -> dict[str, Any]:
        try:
            config = yaml.safe_load(self.config.read_text()) if self.config.is_file() else {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.config} is damaged: {error}; restore it from a copy of the run") from error
        section = config.get(key) if isinstance(config, dict) else None
        return section if isinstance(section, dict) else {}

    def read_metrics(self) -> dict[str, float]:
        """Last value of each metric by name; empty if none was written yet.

        `val/...` are of `best.ckpt`, also in a folder of an earlier version, which wrote those of the last epoch there.
        """
        metrics = self._written_metrics()
        if any(name.startswith("last/val/") for name in metrics):
            return metrics
        best = {name.removeprefix("best/"): value for name, value in metrics.items() if name.startswith("best/val/")}
        return {**metrics, **best}

    def _written_metrics(self) -> dict[str, float]:
        return _read_object(self.metrics) if self.metrics.exists() else {}

    def read_lineage(self) -> dict[str, Any]:
        """Lineage of the run; empty if none was recorded."""
        return _read_object(self.lineage) if self.lineage.is_file() else {}

    def update_metrics(self, values: Mapping[str, float]) -> None:
        """Sets the last value of some metrics, and keeps the others."""
        write_whole(self.metrics, json.dumps({**self._written_metrics(), **values}, indent=2, sort_keys=True) + "\n")


def _read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a run folder.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}; restore it from a copy of the run, or remove it") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: a JSON object is needed; restore it from a copy of the run, or remove it")
    return content


def create_run_folder(root: str, name: str) -> RunFolder:
    """Creates `root/name/<timestamp>-<short id>`; only the first process of a run creates it on disk.

    The timestamp is UTC, so that folder names sort by start across machines and time zones.

    Raises:
        ValueError: The name points outside the root.
    """
    check_run_name(name)
    while True:
        now = datetime.now(UTC)
        # The id begins with the milliseconds, so that folders sort by time also within a second.
        short_id = f"{now.microsecond // 1000:03x}{secrets.choice('0123456789abcdef')}"
        folder = RunFolder(Path(root) / name / f"{now:%Y%m%d-%H%M%S}-{short_id}")
        if not is_first_process():
            return folder
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder


def run_folder_of(checkpoint: str | Path) -> RunFolder | None:
    """Run folder that a checkpoint belongs to, or None."""
    path = Path(checkpoint).resolve().parent.parent
    here = Path.cwd()
    folder = RunFolder(path.relative_to(here) if path.is_relative_to(here) else path)
    return folder if folder.config.is_file() else None


def output_folder(path: str, *, verb: str) -> RunFolder:
    """Creates a folder for what a verb writes outside the run folder.

    Raises:
        ValueError: The verb is `fit`, which always creates its own folder, or the folder exists and is not empty.
    """
    folder = Path(path)
    if verb == "fit":
        raise ValueError(f"output: {path!r} given; a fit makes its folder below run.root, give --run.root")
    if not is_first_process():
        return RunFolder(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"output: {path!r} exists; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return RunFolder(folder)


def check_run_name(name: str) -> None:
    """Refuses a name that is no folder below the root.

    Raises:
        ValueError: The name is empty, absolute, contains `..` or is not printable.
    """
    path = Path(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise ValueError(f"run.name: {name!r} given; it names a folder below run.root, as in 'etth1' or 'group/etth1'")


def newest_runs(root: str, name: str, kind: str) -> list[RunFolder]:
    """Lists the runs of an experiment that have a checkpoint, oldest first.

    Sorted by recorded start, not by folder name, because earlier versions named folders in local time. A resumed run
    that was killed before its start has no `last.ckpt` and is skipped.

    Args:
        root: Folder of all runs.
        name: Name of the experiment.
        kind: `best` or `last`.
    """
    check_run_name(name)
    runs = [RunFolder(path.parent.parent) for path in (Path(root) / name).glob(f"*/checkpoints/{kind}.ckpt")]
    return sorted((run for run in runs if run.checkpoint("last")), key=lambda run: (run.created, run.path.name))


def latest_checkpoint(root: str, name: str, kind: str) -> Path | None:
    """`last.ckpt` of the newest run of an experiment, or `best.ckpt` of the newest run fitted on all of its data.

    If every run was fitted on a part of its data, `best` is that of the newest run.

    Args:
        root: Folder of all runs.
        name: Name of the experiment.
        kind: `best` or `last`.
    """
    runs = newest_runs(root, name, kind)
    if not runs:
        return None
    whole = (run for run in reversed(runs) if kind == "last" or not run.is_partial)
    return next(whole, runs[-1]).checkpoint(kind)


def sets_model(config: str | Path) -> bool:
    """Whether a config file names a model, i.e. is an experiment and not a preset."""
    path = Path(config)
    return path.is_file() and "model" in (yaml.safe_load(path.read_text()) or {})


def is_first_process() -> bool:
    """Whether this process has rank 0, which alone writes files; known before a Trainer exists."""
    from lightning.pytorch.utilities import rank_zero_only  # lazy: reading run folders must not import torch

    return getattr(rank_zero_only, "rank", 0) == 0
