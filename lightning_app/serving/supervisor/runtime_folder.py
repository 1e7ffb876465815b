"""Runtime folder of a server: its configuration, its models, metrics and sessions; removed when the server ends."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from lightning_app.atomic_write import write_whole
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig

_PREFIX = "lightning-app-serve-"


class RuntimeFolder:
    """A folder that only its user can read.

    Supervisor and workers hold a lock on it, which is gone with the last of them: folders of servers that were killed
    are removed by the next one.

    Attributes:
        path: The folder.
        lock: File descriptor of the lock, inherited by the workers.
    """

    def __init__(self) -> None:
        _remove_leftovers(Path(tempfile.gettempdir()))
        self.path, self.lock = _locked_folder()
        self.metrics.mkdir(mode=0o700)

    @property
    def metrics(self) -> Path:
        """Folder of the metrics of all workers."""
        return self.path / "metrics"

    def write_config(self, config: ServeConfig) -> None:
        """Replaces `config.json`, which workers read when they start.

        Args:
            config: Configuration.
        """
        write_whole(self.path / "config.json", msgspec.json.encode(config).decode())

    def write_models(self, models: Sequence[ResolvedModel]) -> None:
        """Replaces `models.json`, which workers read when they start.

        Args:
            models: All models.
        """
        write_whole(self.path / "models.json", msgspec.json.encode(models).decode())

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def _locked_folder() -> tuple[Path, int]:
    """A new folder and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "lock").exists():
            return folder, lock
        os.close(lock)  # a server that starts at the same time took it for a leftover


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it belongs to somebody else, is in use, or has just been removed
            lock = os.open(folder / "lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
