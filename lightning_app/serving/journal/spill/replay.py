"""Replay of spill files: in their order, each record exactly once, however often the replay is killed."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from lightning_app.serving.journal.errors import JournalRecordError, RefusedOutcomeError
from lightning_app.serving.journal.record import Outcome, Prediction
from lightning_app.serving.journal.reward_limits import RewardLimits
from lightning_app.serving.journal.spill.records import MAGIC, unpacked
from lightning_app.serving.journal.spill.spill_file import SUFFIX
from lightning_app.serving.journal.stores.protocol import NO_LIMITS, JournalStore

_RECORDS_AT_ONCE = 64
_READ_BYTES = 2**20


class Replayed(msgspec.Struct, kw_only=True):
    """What a replay did.

    Attributes:
        files: Files that were replayed and removed.
        records: Records that were written to the journal.
        earlier: Records that the journal held already.
        conflicts: Records that the journal holds with another content; that in the journal stays.
        refused: Rewards out of range, or of rows that their requests do not have; they are written nowhere.
        torn: Files whose last record was cut off: its request was never answered.
        damaged: Records with a wrong checksum, or that the journal cannot hold; their files are kept as `.damaged`.
    """

    files: int = 0
    records: int = 0
    earlier: int = 0
    conflicts: int = 0
    refused: int = 0
    torn: int = 0
    damaged: int = 0

    def add(self, other: "Replayed") -> None:
        """Adds the counts of another replay."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


def waiting_files(folder: Path) -> list[Path]:
    """Files that are not replayed yet, oldest first.

    Args:
        folder: Folder of spill files.
    """
    return sorted(folder.glob(f"*{SUFFIX}"))


def replay(
    folder: Path,
    store: JournalStore,
    *,
    limits: RewardLimits = NO_LIMITS,
    between: Callable[[], None] = lambda: None,
) -> Replayed:
    """Writes the files of dead or finished processes to the journal and removes them.

    A file is locked meanwhile; files that another process writes or replays are left to it. The journal ignores ids
    that it holds, so a file whose replay was killed is replayed from its beginning.

    Args:
        folder: Folder of spill files.
        store: The journal.
        limits: Rewards that are allowed, by model.
        between: Called between two transactions.

    Raises:
        JournalError: The journal cannot be written; what was not replayed is still there.
    """
    total = Replayed()
    for path in waiting_files(folder):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another process has replayed it
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if os.fstat(descriptor).st_nlink:
                total.add(_replay_file(path, descriptor, store, limits, between))
        finally:
            os.close(descriptor)
    return total


def _replay_file(
    path: Path, descriptor: int, store: JournalStore, limits: RewardLimits, between: Callable[[], None]
) -> Replayed:
    result = Replayed(files=1)
    waiting: list[Prediction | Outcome] = []
    for record in _records(descriptor, result):
        if waiting and (len(waiting) == _RECORDS_AT_ONCE or type(record) is not type(waiting[0])):
            _write(waiting, store, limits, result)
            waiting = []
            between()
        waiting.append(record)
    _write(waiting, store, limits, result)
    if result.damaged:
        path.rename(path.with_suffix(".damaged"))
    else:
        path.unlink()
    return result


def _records(descriptor: int, result: Replayed) -> Iterator[Prediction | Outcome]:
    data = os.read(descriptor, len(MAGIC))
    if data != MAGIC:
        result.torn += data == MAGIC[: len(data)]
        result.damaged += data != MAGIC[: len(data)]
        return
    data, begin = b"", 0
    while True:
        record, end = unpacked(data, begin)
        if end < 0:
            more = os.read(descriptor, _READ_BYTES)
            if not more:
                break
            data, begin = data[begin:] + more, 0
            continue
        begin = end
        if record is None:
            result.damaged += 1
        else:
            yield record
    result.torn += begin < len(data)


def _write(records: list[Prediction | Outcome], store: JournalStore, limits: RewardLimits, result: Replayed) -> None:
    """Writes records of one kind; one by one if the journal can hold one of them at no time."""
    if not records:
        return
    try:
        _write_together(records, store, limits, result)
    except JournalRecordError:
        if len(records) == 1:
            result.damaged += 1
            return
        for record in records:
            _write([record], store, limits, result)


def _write_together(
    records: list[Prediction | Outcome], store: JournalStore, limits: RewardLimits, result: Replayed
) -> None:
    predictions = [record for record in records if isinstance(record, Prediction)]
    earlier = store.write(predictions) if predictions else {}
    for prediction in predictions:
        held = earlier.get(prediction.request_id)
        if held is None:
            result.records += 1
        elif held.body_digest == prediction.body_digest and held.answer == prediction.answer:
            result.earlier += 1
        else:
            result.conflicts += 1
    outcomes = [record for record in records if isinstance(record, Outcome)]
    for status in store.feedback(outcomes, limits=limits) if outcomes else []:
        result.records += status in ("stored", "unknown", "expired")
        result.refused += isinstance(status, RefusedOutcomeError)
        result.earlier += status == "same"
        result.conflicts += status == "conflict"
