"""Checkpoint of a command: found by folder, file, `last` or `best`, with the config that belongs to it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule

from lightning_app.errors import UsageError
from lightning_app.runs.run_folder import RunFolder, latest_checkpoint, newest_runs, run_folder_of, sets_model
from models.checkpoint_file import check_checkpoint

_CONFIG = ("-c", "--config")


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint named on the command line.

    Attributes:
        args: The command line to parse: where the checkpoint lies in a run folder, its config comes first, so that
            whatever else is given overrides it.
        path: The checkpoint; None if none was asked for, or `last` has nothing to resume yet.
        data_configs: The config of the run folder among the words: data, not the user's own.
    """

    args: list[str]
    path: Path | None
    data_configs: tuple[Path, ...] = ()

    @classmethod
    def of(cls, args: list[str]) -> "CheckpointSource":
        """Reads a command line, verb first.

        Raises:
            UsageError: The checkpoint does not exist, or nothing says which model it belongs to.
        """
        given = _values(args, "--ckpt_path") or _ckpt_paths_of_configs(args)
        if not given or given[-1] in ("", "null"):
            return cls(args, None)
        if "://" in given[-1]:
            raise UsageError(
                f"ckpt_path: {given[-1]!r} is a URL; download it first, as a checkpoint is checked, and the config "
                "beside it is read"
            )
        path = _newest(args, given[-1]) if given[-1] in ("last", "best") else _file_of(Path(given[-1]), verb=args[0])
        if path is None:
            return cls(args, None)
        if not path.exists():
            raise UsageError(
                f"ckpt_path: {given[-1]!r} does not exist; give a run folder, a checkpoint, or 'last' or 'best'"
            )
        folder = run_folder_of(path)
        if folder is None:
            if not _values(args, *_CONFIG):
                raise UsageError(
                    f"ckpt_path: {given[-1]!r} lies in no run folder (no config.yaml two folders up), so its model and "
                    "data are not known: give its config with -c"
                )
            return cls(args, path)
        # What is evaluated is the run as it was fitted: of the config files only presets still count then.
        rest = args[1:] if args[0] == "fit" else _without_experiments(args[1:])
        for ignored in [config for config in _values(args, *_CONFIG) if config not in _values(rest, *_CONFIG)]:
            print(f"config: {folder.config}, as the run was fitted; {ignored} is not read", flush=True)  # noqa: T201
        return cls([args[0], "--config", str(folder.config), *rest], path, (folder.config,))

    def previous_config(self) -> dict[str, Any] | None:
        """The config that the checkpoint was made with, or None."""
        folder = run_folder_of(self.path) if self.path else None
        return yaml.safe_load(folder.config.read_text()) if folder else None

    def is_from_before(self, argument: str) -> bool:
        """Whether the run was made before the data had an argument, and the command line does not give it either."""
        recorded = ((self.previous_config() or {}).get("data") or {}).get("init_args")
        given = any(word.startswith(f"--data.{argument}") for word in self.args)
        return isinstance(recorded, dict) and argument not in recorded and not given

    def check(self, model: LightningModule) -> None:
        """Refuses a checkpoint that cannot be read, or is of another class.

        Raises:
            UsageError: It is.
        """
        assert self.path is not None
        if self.path.is_dir():  # sharded: read by the strategy
            return
        try:
            check_checkpoint(self.path)
        except ValueError as error:
            raise UsageError(f"ckpt_path: {error}") from error
        try:
            checkpoint = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            raise UsageError(f"ckpt_path: {self.path} is no readable checkpoint: {error}") from error
        made_by = checkpoint.get("hyper_parameters", {}).get("_class_path")
        if made_by is not None and not _is_instance(model, made_by):
            raise UsageError(
                f"ckpt_path: {self.path} was made by {made_by}, the config asks for {type(model).__name__}"
            )


def _file_of(path: Path, *, verb: str) -> Path:
    """The checkpoint that a path means: of a run folder the last one to train on, the best one for all else."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        return path
    found = folder.checkpoint("last") if verb == "fit" else folder.checkpoint("best", "last")
    if found is None:
        raise UsageError(f"ckpt_path: {str(path)!r} has no checkpoint yet")
    print(f"checkpoint: {found}", flush=True)  # noqa: T201
    return found


def _is_instance(model: LightningModule, class_path: str) -> bool:
    """Whether the model is of exactly the class at an import path, which may be a shorter one than its own."""
    module, name = class_path.rsplit(".", 1)
    return type(model).__name__ == name and getattr(sys.modules.get(module), name, None) in (type(model), None)


def _newest(args: list[str], kind: str) -> Path | None:
    """`last` or `best` of the newest run of the experiment that a command line names."""
    experiment = next((path for path in reversed(_values(args, *_CONFIG)) if sets_model(path)), None)
    run = (yaml.safe_load(Path(experiment).read_text()).get("run") or {}) if experiment else {}
    root = [run.get("root") or "runs", *_values(args, "--run.root")][-1]
    name = [run.get("name") or (Path(experiment).stem if experiment else None), *_values(args, "--run.name")][-1]
    if name is None:
        raise UsageError(f"ckpt_path: {kind!r} of which experiment? Give its config with -c, or its name as --run.name")
    path = latest_checkpoint(root, name, kind)
    where = Path(root) / name
    if path is None and (kind == "best" or args[0] != "fit"):
        raise UsageError(f"ckpt_path: no run in {where} has a checkpoint '{kind}.ckpt' yet")
    left_out = [
        run for run in newest_runs(root, name, kind) if path and run.created > RunFolder(path.parents[1]).created
    ]
    if left_out:
        print(f"{kind}: {len(left_out)} newer runs on a part of the data are left out", flush=True)  # noqa: T201
    # A preempted job is started again with the same command: its first start has nothing to resume from.
    print(f"{kind}: {path or f'no run in {where} to resume, starting anew'}", flush=True)  # noqa: T201
    return path


def _values(args: list[str], *options: str) -> list[str]:
    """All values of an option, in either of its spellings."""
    found = []
    for word, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in options:
            found.append(value if equals else following)
    return found


def _ckpt_paths_of_configs(args: list[str]) -> list[str]:
    """`ckpt_path` of each config file that has one, as the command line would give it."""
    configs = [path for path in map(Path, _values(args, *_CONFIG)) if path.is_file()]
    sections = [yaml.safe_load(path.read_text()) for path in configs]
    return [str(section["ckpt_path"]) for section in sections if isinstance(section, dict) and section.get("ckpt_path")]


def _without_experiments(args: list[str]) -> list[str]:
    """The words of a command line but for config files that set a model."""
    kept: list[str] = []
    skip = False
    for word, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if skip:
            skip = False
        elif name in _CONFIG and sets_model(value if equals else following):
            skip = not equals
        else:
            kept.append(word)
    return kept
