"""The run folder: where everything about one fit lies."""

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

    @property
    def name(self) -> str:
        """Name of the experiment, also where the folder was copied elsewhere."""
        return str(self._section("run").get("name") or self.path.resolve().parent.name)

    @property
    def created(self) -> str:
        """When the run was started: UTC, sorts as text. A folder without a lineage counts by its name."""
        if self.lineage.is_file():
            return str(self.read_lineage().get("created", ""))
        name = self.path.name
        return f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}"

    @property
    def is_partial(self) -> bool:
        """Whether it was fitted on a part of its data, as with `trainer/debug.yaml`."""
        trainer = self._section("trainer")
        parts = (trainer.get("limit_train_batches"), trainer.get("limit_val_batches"))
        return bool(trainer.get("fast_dev_run") or trainer.get("overfit_batches")) or any(
            part is not None and part != 1.0 for part in parts
        )

    def root_of(self, name: str) -> str | None:
        """Folder of all runs that it lies in, below a name; None where it was copied somewhere else.

        Args:
            name: Name of the experiment.
        """
        parents = self.path.resolve().parents
        depth = len(Path(name).parts)
        return str(parents[depth]) if self.path.resolve().parts[-depth - 1 : -1] == Path(name).parts else None

    def checkpoint(self, *kinds: str) -> Path | None:
        """The first of `best.ckpt` and `last.ckpt` that is there.

        Args:
            kinds: `best`, `last`, in the order of preference.
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
        """Last value of each metric by its name; empty before there is any."""
        return _read_object(self.metrics) if self.metrics.exists() else {}

    def read_lineage(self) -> dict[str, Any]:
        """What the run was made from; empty where that was not recorded."""
        return _read_object(self.lineage) if self.lineage.is_file() else {}

    def update_metrics(self, values: Mapping[str, float]) -> None:
        """Sets the last value of metrics, and leaves the others as they are."""
        write_whole(self.metrics, json.dumps({**self.read_metrics(), **values}, indent=2, sort_keys=True) + "\n")


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder.

    Raises:
        ValueError: The file holds something else.
    """
    try:
        found = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}; restore it from a copy of the run, or remove it") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: a JSON object is needed; restore it from a copy of the run, or remove it")
    return found


def create_run_folder(root: str, name: str) -> RunFolder:
    """A new folder `root/name/<timestamp>-<short id>`; it exists on the first process only, others never write.

    The timestamp is UTC, so that the order of the names is that of the runs wherever and whenever they are made.

    Raises:
        ValueError: The name leads out of the root.
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
    """The run folder that a checkpoint lies in, or None."""
    path = Path(checkpoint).resolve().parent.parent
    here = Path.cwd()
    folder = RunFolder(path.relative_to(here) if path.is_relative_to(here) else path)
    return folder if folder.config.is_file() else None


def output_folder(path: str, *, verb: str) -> RunFolder:
    """A new folder for what a verb writes elsewhere than in the run folder.

    Raises:
        ValueError: A fit always has a folder of its own, and nothing that is there is overwritten.
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
        ValueError: It is empty, absolute, leads upwards or cannot be printed.
    """
    path = Path(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise ValueError(f"run.name: {name!r} given; it names a folder below run.root, as in 'etth1' or 'group/etth1'")


def newest_runs(root: str, name: str, kind: str) -> list[RunFolder]:
    """The runs of a name that have a checkpoint, oldest first.

    Ordered by the start that each recorded, not by name: the names of earlier versions hold local time. A resumed run
    that was killed before it had started has no `last.ckpt`, and is none of them.

    Args:
        root: Folder of all runs.
        name: Name of the experiment.
        kind: `best` or `last`.
    """
    check_run_name(name)
    found = [RunFolder(path.parent.parent) for path in (Path(root) / name).glob(f"*/checkpoints/{kind}.ckpt")]
    return sorted((run for run in found if run.checkpoint("last")), key=lambda run: (run.created, run.path.name))


def latest_checkpoint(root: str, name: str, kind: str) -> Path | None:
    """`last.ckpt` of the newest run of a name, or `best.ckpt` of the newest that was fitted on all of its data.

    Where every run was fitted on a part, `best` is that of the newest.

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
    """Whether a config file is an experiment, not a preset of something else."""
    path = Path(config)
    return path.is_file() and "model" in (yaml.safe_load(path.read_text()) or {})


def is_first_process() -> bool:
    """Whether this process is the one that writes; known before there is a trainer."""
    from lightning.pytorch.utilities import rank_zero_only  # not above: who only reads folders needs no torch

    return getattr(rank_zero_only, "rank", 0) == 0
