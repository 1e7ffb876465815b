"""Side tables of the journal: counts of arms, which are merged as they age, and answers of shadows."""

import time
from collections.abc import Sequence

import msgspec

from lightning_app.serving.journal.arm_count import ArmCount, summed_latencies
from lightning_app.serving.journal.record import Shadow
from lightning_app.serving.journal.stores.database import JournalDatabase

_COUNT_COLUMNS = "time, experiment, worker, arm, version, probability, requests, failures, degraded, latencies"
_SHADOW_COLUMNS = ", ".join(Shadow.__struct_fields__)
_PRUNED_AT_ONCE = 500
_HOUR = 3600.0
_MERGED_AT_ONCE = 2000


def add_counts(database: JournalDatabase, rows: Sequence[ArmCount]) -> None:
    """Writes counts of arms.

    Args:
        database: Database of the journal.
        rows: The counts.

    Raises:
        JournalError: The journal cannot be written.
    """
    with database.transaction():
        _insert_counts(database, rows)


def add_shadows(database: JournalDatabase, shadows: Sequence[Shadow]) -> None:
    """Writes answers of shadows.

    Args:
        database: Database of the journal.
        shadows: The answers.

    Raises:
        JournalRecordError: The journal can hold one of them at no time; none was written.
        JournalError: The journal cannot be written.
    """
    marks = ", ".join("?" * len(Shadow.__struct_fields__))
    statement = f"INSERT INTO {database.table('shadows')} ({_SHADOW_COLUMNS}) VALUES ({marks})"
    with database.transaction():
        database.execute_many(statement, [msgspec.structs.astuple(shadow) for shadow in shadows])


def prune_side_tables(database: JournalDatabase, before: float) -> int:
    """Deletes answers of shadows, and counts of experiments that have ended, in small transactions.

    Args:
        database: Database of the journal.
        before: What is older, Unix seconds.

    Returns:
        Number of deleted answers.

    Raises:
        JournalError: The journal cannot be written.
    """
    shadows = _prune(database, "shadows", "time < ?", before)
    running = f"SELECT id FROM {database.table('experiments')} WHERE status = 'running'"
    _prune(database, "arm_counts", f"time < ? AND experiment NOT IN ({running})", before)
    return shadows


def _prune(database: JournalDatabase, name: str, condition: str, before: float) -> int:
    table, deleted = database.table(name), 0
    while True:
        with database.transaction():
            part = database.execute(
                f"DELETE FROM {table} WHERE number IN (SELECT number FROM {table} WHERE {condition} "
                f"ORDER BY number LIMIT {_PRUNED_AT_ONCE}) RETURNING number",
                (before,),
            )
        deleted += len(part)
        if len(part) < _PRUNED_AT_ONCE:
            return deleted
        time.sleep(0.001)  # for those who answer


def merge_counts(database: JournalDatabase, *, now: float) -> int:
    """Merges counts of one worker, arm, version and probability within an hour; the newest minute stays as it is.

    Args:
        database: Database of the journal.
        now: Unix seconds.

    Returns:
        By how many the rows became fewer.

    Raises:
        JournalError: The journal cannot be written.
    """
    table = database.table("arm_counts")
    fewer = 0
    while True:
        with database.transaction():
            rows = database.execute(
                f"DELETE FROM {table} WHERE number IN (SELECT number FROM {table} WHERE time >= ? AND time < ? "
                f"ORDER BY number LIMIT {_MERGED_AT_ONCE}) RETURNING {_COUNT_COLUMNS}",
                (now - 2 * _HOUR, now - 60.0),
            )
            merged = merged_counts([_count(row) for row in rows])
            _insert_counts(database, merged)
        fewer += len(rows) - len(merged)
        if len(rows) < _MERGED_AT_ONCE or len(rows) == len(merged):
            return fewer


def merged_counts(rows: Sequence[ArmCount]) -> list[ArmCount]:
    """Sums of counts of one worker, arm, version and probability within an hour.

    Args:
        rows: The counts.
    """
    merged: dict[tuple[object, ...], ArmCount] = {}
    for row in rows:
        key = (row.experiment, row.worker, row.arm, row.version, row.probability, row.time // _HOUR)
        held = merged.get(key)
        if held is None:
            merged[key] = msgspec.structs.replace(row)
            continue
        held.time = max(held.time, row.time)
        held.requests += row.requests
        held.failures += row.failures
        held.degraded += row.degraded
        held.latencies = summed_latencies(held.latencies, row.latencies)
    return list(merged.values())


def _insert_counts(database: JournalDatabase, rows: Sequence[ArmCount]) -> None:
    marks = ", ".join("?" * len(ArmCount.__struct_fields__))
    database.execute_many(
        f"INSERT INTO {database.table('arm_counts')} ({_COUNT_COLUMNS}) VALUES ({marks})",
        [(*msgspec.structs.astuple(row)[:-1], msgspec.json.encode(_trimmed(row.latencies)).decode()) for row in rows],
    )


def _trimmed(bins: Sequence[int]) -> Sequence[int]:
    size = len(bins)
    while size and not bins[size - 1]:
        size -= 1
    return bins[:size]


def _count(row: Sequence[object]) -> ArmCount:
    values = dict(zip(ArmCount.__struct_fields__, row, strict=True))
    return ArmCount(**values | {"latencies": msgspec.json.decode(str(values["latencies"]))})  # type: ignore[arg-type]
