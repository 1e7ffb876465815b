"""Files of pretrained models that a checkpoint keeps, so that it loads without the folder that the model came from."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from features.text.pretrained import keep_files, kept_files

CHECKPOINT_KEY = "pretrained"

_weights_follow: ContextVar[bool] = ContextVar("weights_follow", default=False)


@runtime_checkable
class Pretrained(Protocol):
    """A network with weights of a pretrained model.

    Attributes:
        pretrained: Source of the model, as of `features.text.pretrained_folder`.
    """

    pretrained: str


def files_of(module: nn.Module) -> dict[str, dict[str, str]]:
    """Files to keep of the pretrained parts of a module, by source and name; empty without such parts.

    A folder is a source by the path that was given and by its absolute path, which configs of runs have.
    """
    files: dict[str, dict[str, str]] = {}
    for source in dict.fromkeys(part.pretrained for part in module.modules() if isinstance(part, Pretrained)):
        files[source] = kept_files(source, key="model.pretrained")
        if Path(source).is_dir():
            files[str(Path(source).resolve())] = files[source]
    return files


@contextmanager
def checkpoint_follows(path: str | Path | None) -> Iterator[None]:
    """Makes networks without reading pretrained weights, since those of a checkpoint are loaded into them afterwards.

    Args:
        path: The checkpoint; None for a model whose weights are not loaded.
    """
    if path is None or not Path(path).is_file():
        yield
        return
    for source, files in _kept_in(Path(path)).items():
        keep_files(source, files)
    token = _weights_follow.set(True)
    try:
        yield
    finally:
        _weights_follow.reset(token)


def weights_follow() -> bool:
    """Whether the weights of a checkpoint will be loaded into what is being constructed."""
    return _weights_follow.get()


def _kept_in(path: Path) -> dict[str, dict[str, str]]:
    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whoever loads the weights says what is wrong with the file
        return {}
    return dict(checkpoint.get(CHECKPOINT_KEY, {})) if isinstance(checkpoint, dict) else {}
