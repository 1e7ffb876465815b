"""Hang record: versions of which a call has hung, known to all workers of a server and to those that start later."""

from functools import cached_property
from pathlib import Path

from lightning_app.serving.inference.hangs import LoopWatch


class HangRecord:
    """A file for each version, by its digest.

    Args:
        folder: Where; is made by the first hang.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def watch(self) -> LoopWatch:
        """Watches calls on the event loop; started when the first model needs it."""
        return LoopWatch()

    def is_suspect(self, digest: str) -> bool:
        """Whether a call of a version has hung.

        Args:
            digest: Digest of the version.
        """
        return (self._folder / digest).exists()

    def note(self, digest: str) -> None:
        """Notes that a call of a version hangs.

        Args:
            digest: Digest of the version.
        """
        self._folder.mkdir(exist_ok=True)
        (self._folder / digest).touch()
