"""Which checkpoint a command means, and the config that belongs to it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_app.errors import UsageError
from lightning_app.run import latest_checkpoint, run_folder_of
from models import BaseModule

_OPTION = "--ckpt_path"


@dataclass
class CheckpointSource:
    """A checkpoint named on the command line.

    Attributes:
        args: The command line to parse: where the checkpoint lies in a run folder, its config comes first, so that
            whatever else is given overrides it.
        path: The checkpoint; None before `resolve`, and if none was asked for.
    """

    args: list[str]
    path: Path | None = field(default=None)

    @classmethod
    def of(cls, args: list[str]) -> "CheckpointSource":
        """Reads a command line, verb first.

        Raises:
            UsageError: The checkpoint does not exist, or nothing says which model it belongs to.
        """
        given = _option(args)
        if given is None or given in ("last", "best"):
            return cls(args=args)
        path = Path(given)
        if not path.exists():
            raise UsageError(f"ckpt_path: {given!r} does not exist; give a file, or 'last' or 'best'")
        folder = run_folder_of(path)
        if folder is None:
            if not {"-c", "--config"} & {word.split("=")[0] for word in args}:
                raise UsageError(
                    f"ckpt_path: {given!r} lies in no run folder (no config.yaml two folders up), so its model and "
                    "data are not known: give its config with -c"
                )
            return cls(args=args)
        return cls(args=[args[0], "--config", str(folder.config), *args[1:]])

    def resolve(self, options: Any, config: Any) -> None:
        """Finds the file once the config is known.

        Args:
            options: `run.root` and `run.name` tell where `last` and `best` are looked for.
            config: Holds `ckpt_path`.
        """
        given = config.get("ckpt_path")
        if given not in ("last", "best"):
            self.path = Path(given) if given else None
            return
        self.path = latest_checkpoint(options.root, options.name, given)
        where = Path(options.root) / options.name
        if self.path is None and given == "best":
            raise UsageError(f"ckpt_path: no run in {where} has a checkpoint 'best.ckpt' yet")
        # A preempted job is started again with the same command: its first start has nothing to resume from.
        print(f"{given}: {self.path or f'no run in {where} to resume, starting anew'}", flush=True)  # noqa: T201

    def previous_config(self) -> dict[str, Any] | None:
        """The config that the checkpoint was made with, or None."""
        folder = run_folder_of(self.path) if self.path else None
        return yaml.safe_load(folder.config.read_text()) if folder else None

    def check(self, model: BaseModule) -> None:
        """Refuses a checkpoint that cannot be read, or is of another class.

        Raises:
            UsageError: It is.
        """
        assert self.path is not None
        if self.path.is_dir():  # sharded: read by the strategy
            return
        try:
            checkpoint = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            raise UsageError(f"ckpt_path: {self.path} is no readable checkpoint: {error}") from error
        made_by = checkpoint.get("hyper_parameters", {}).get("_class_path")
        if made_by is not None and not _is_instance(model, made_by):
            raise UsageError(
                f"ckpt_path: {self.path} was made by {made_by}, the config asks for {type(model).__name__}"
            )


def _is_instance(model: BaseModule, class_path: str) -> bool:
    """Whether the model is of exactly the class at an import path, which may be a shorter one than its own."""
    module, name = class_path.rsplit(".", 1)
    return type(model).__name__ == name and getattr(sys.modules.get(module), name, None) in (type(model), None)


def _option(args: list[str]) -> str | None:
    """The last value of `--ckpt_path`, in either of its spellings."""
    found = None
    for word, following in zip(args, [*args[1:], None], strict=True):
        if word == _OPTION:
            found = following
        elif word.startswith(f"{_OPTION}="):
            found = word.removeprefix(f"{_OPTION}=")
    return None if found in (None, "null") else found
