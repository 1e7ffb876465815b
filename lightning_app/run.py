"""The run folder: where everything about one fit lies."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import yaml

from lightning_app.full_disk import names_full_disk


@dataclass
class RunOptions:
    """Where a run is kept and how it is tracked.

    Attributes:
        name: Name of the experiment; null takes the name of the config file.
        root: Folder of all runs.
        wandb: `auto` is online if you are logged in to W&B (or WANDB_MODE says so), else offline.
        project: Project in W&B.
        entity: User or team in W&B; null takes the default.
        tags: Tags in W&B.
    """

    name: str | None = None
    root: str = "runs"
    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "lightning-r2p"
    entity: str | None = None
    tags: list[str] = field(default_factory=list)


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
        """What the run was made from."""
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
        """Last value of each metric."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """The report of the test."""
        return self.path / "report.md"

    def read_metrics(self) -> dict[str, float]:
        """Last value of each metric by its name; empty before there is any."""
        return json.loads(self.metrics.read_text()) if self.metrics.exists() else {}

    def update_metrics(self, values: Mapping[str, float]) -> None:
        """Sets the last value of metrics, and leaves the others as they are."""
        write_whole(self.metrics, json.dumps({**self.read_metrics(), **values}, indent=2, sort_keys=True) + "\n")


def create_run_folder(root: str, name: str) -> RunFolder:
    """A new folder `root/name/<timestamp>-<short id>`; it exists on the first process only, others never write."""
    while True:
        now = datetime.now().astimezone()
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
    """The run folder that a checkpoint lies in, or None."""
    path = Path(checkpoint).resolve().parent.parent
    here = Path.cwd()
    folder = RunFolder(path.relative_to(here) if path.is_relative_to(here) else path)
    return folder if folder.config.is_file() else None


def latest_checkpoint(root: str, name: str, kind: str) -> Path | None:
    """`best.ckpt` or `last.ckpt` of the newest run of a name that has one.

    Args:
        root: Folder of all runs.
        name: Name of the experiment.
        kind: `best` or `last`.
    """
    found = sorted((Path(root) / name).glob(f"*/checkpoints/{kind}.ckpt"), key=lambda path: path.parent.parent.name)
    return found[-1] if found else None


def sets_model(config: str | Path) -> bool:
    """Whether a config file is an experiment, not a preset of something else."""
    path = Path(config)
    return path.is_file() and "model" in (yaml.safe_load(path.read_text()) or {})


def is_first_process() -> bool:
    """Whether this process is the one that writes; known before there is a trainer."""
    from lightning.pytorch.utilities import rank_zero_only  # not above: who only reads folders needs no torch

    return getattr(rank_zero_only, "rank", 0) == 0


def write_whole(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    data = text.encode()
    try:
        with names_full_disk(path, len(data)):
            partial.write_bytes(data)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
