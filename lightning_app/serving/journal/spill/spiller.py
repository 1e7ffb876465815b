"""Spiller: the spill files of one worker, one for each time that the journal is down."""

from collections.abc import Sequence
from pathlib import Path

from lightning_app.serving.journal.errors import JournalDownError, JournalRecordError
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction
from lightning_app.serving.journal.spill.spill_count import SpillCount
from lightning_app.serving.journal.spill.spill_file import SpillFile


class Spiller:
    """Appends records while the journal is down, and knows them until they are replayed.

    Args:
        folder: Folder of the files.
        durable: Whether each append is synced to disk.

    Attributes:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder
        self._durable = durable
        self._current: SpillFile | None = None
        self._sealed: list[SpillFile] = []
        self._count, self._num_others = SpillCount(folder), 0

    def append(self, records: Sequence[Prediction | Outcome]) -> dict[str, Earlier]:
        """Appends records.

        Args:
            records: The records.

        Returns:
            What the file holds under the ids of predictions that it held already.

        Raises:
            JournalDownError: The file cannot be written.
            JournalRecordError: A record cannot be encoded.
        """
        try:
            if self._current is None:
                self._current = SpillFile(self.folder, durable=self._durable)
            return self._current.append(records)
        except OSError as error:
            raise JournalDownError(f"journal: spill folder {self.folder}: {error.strerror or error}") from error
        except (UnicodeError, TypeError, OverflowError) as error:
            raise JournalRecordError(f"journal: a record cannot be spilled: {error}") from error

    @property
    def has_sealed(self) -> bool:
        """Whether files of this worker are not replayed yet."""
        return bool(self._sealed)

    def earlier(self, request_ids: Sequence[str]) -> dict[str, Earlier]:
        """What files that are not replayed yet hold under ids.

        Args:
            request_ids: The ids.
        """
        held: dict[str, Earlier] = {}
        for file in self._sealed:
            for request_id in request_ids:
                if (record := file.earlier(request_id)) is not None:
                    held[request_id] = record
        return held

    def seal(self) -> bool:
        """Ends the present file and leaves it to be replayed; returns whether there is one."""
        if self._current is None:
            return False
        self._current.unlock()
        self._sealed.append(self._current)
        self._current = None
        return True

    def num_waiting(self) -> int:
        """Number of records that are not replayed yet: those of this worker, and what `count_others` has found."""
        self.forget_replayed()  # another worker may have done it
        return self._num_others + sum(file.num_records for file in self._own())

    def count_others(self) -> None:
        """Counts what other processes have left in the folder; not for the event loop."""
        self._num_others = self._count.count({file.path for file in self._own()})

    def _own(self) -> list[SpillFile]:
        return [*self._sealed, *([self._current] if self._current else [])]

    def forget_replayed(self) -> None:
        """Forgets files that are gone."""
        for file in [file for file in self._sealed if not file.path.exists()]:
            self._sealed.remove(file)
            file.close()

    def close(self) -> None:
        """Closes all files; who starts next replays them."""
        self.seal()
        for file in self._sealed:
            file.close()
        self._sealed.clear()
