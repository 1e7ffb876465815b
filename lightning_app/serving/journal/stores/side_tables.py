"""Side tables of the journal: counts of arms, which are merged as they age, and answers of shadows."""

import time
from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from lightning_app.serving.journal.arm_count import ArmCount, summed_latencies
from lightning_app.serving.journal.record import Shadow
from lightning_app.serving.journal.stores.database import JournalDatabase

_COUNT_COLUMNS = "time, experiment, worker, arm, version, probability, requests, failures, degraded, latencies"
_SHADOW_COLUMNS = ", ".join(Shadow.__struct_fields__)
_PRUNED_AT_ONCE = 500
_HOUR = 3600.0
_MERGED_AT_ONCE = 2000
_MOST_PROBABILITIES = 4
"""Of one arm in one write; a step of a canary makes two."""


def add_counts(database: JournalDatabase, rows: Sequence[ArmCount]) -> None:
    """Writes counts of arms; of an arm with many probabilities, those of a linear policy, their mean is written.

    Args:
        database: Database of the journal.
        rows: The counts.

    Raises:
        JournalError: The journal cannot be written.
    """
    kinds = {(row.experiment, row.worker, row.arm, row.version, row.probability) for row in rows}
    per_arm = Counter(kind[:-1] for kind in kinds)
    many = {experiment for (experiment, *_), number in per_arm.items() if number > _MOST_PROBABILITIES}
    with database.transaction():
        _insert_counts(database, merged_counts(rows, means=many) if many else rows)


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

    Bandits change probabilities all the time: theirs are merged too, and their mean is kept.

    Args:
        database: Database of the journal.
        now: Unix seconds.

    Returns:
        By how many the rows became fewer.

    Raises:
        JournalError: The journal cannot be written.
    """
    table = database.table("arm_counts")
    bandits = f"SELECT id FROM {database.table('experiments')} WHERE kind IN ('thompson', 'linear')"
    means = {row[0] for row in database.execute(bandits)}
    fewer = 0
    while True:
        with database.transaction():
            rows = database.execute(
                f"DELETE FROM {table} WHERE number IN (SELECT number FROM {table} WHERE time >= ? AND time < ? "
                f"ORDER BY number LIMIT {_MERGED_AT_ONCE}) RETURNING {_COUNT_COLUMNS}",
                (now - 2 * _HOUR, now - 60.0),
            )
            merged = merged_counts([_count(row) for row in rows], means=means)
            _insert_counts(database, merged)
        fewer += len(rows) - len(merged)
        if len(rows) < _MERGED_AT_ONCE or len(rows) == len(merged):
            return fewer


def merged_counts(rows: Sequence[ArmCount], *, means: Collection[str] = ()) -> list[ArmCount]:
    """Sums of counts of one worker, arm, version and probability within an hour.

    Args:
        rows: The counts.
        means: Experiments whose probabilities are merged too; the mean over requests is kept.
    """
    merged: dict[tuple[object, ...], ArmCount] = {}
    for row in rows:
        probability = None if row.experiment in means else row.probability
        key = (row.experiment, row.worker, row.arm, row.version, probability, row.time // _HOUR)
        held = merged.get(key)
        if held is None:
            merged[key] = msgspec.structs.replace(row)
            continue
        held.time = max(held.time, row.time)
        if probability is None and held.requests + row.requests:
            total = held.probability * held.requests + row.probability * row.requests
            held.probability = total / (held.requests + row.requests)
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
