"""Rows of an experiment in the journal: read part by part, all requests of a key side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.config.experiment_config import Key
from lightning_app.serving.journal.stores.database import JournalDatabase

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_AT_ONCE = 20_000


class RowQuery(Struct, frozen=True, kw_only=True):
    """Which predictions of an experiment are read, and how.

    Attributes:
        experiment: Its id.
        since: First time of arrival, Unix seconds.
        key: What arms were chosen for: requests of an entity or a session belong together.
        within_seconds: Rewards that came later are not read; infinity reads all.
        with_bodies: Whether bodies are read.
    """

    experiment: str
    since: float
    key: Key
    within_seconds: float = float("inf")
    with_bodies: bool = False


class Rows(Struct, kw_only=True):
    """Predictions, one element each.

    Attributes:
        times: Arrival, Unix seconds.
        arms: Names of the chosen arms.
        probabilities: Of the choices.
        keys: Number of the key; rows of a key are neighbours.
        names: Entities or sessions; None of requests without, and where each request has a key of its own.
        rewards: Mean reward of the rows of a request; nan without.
        num_rows: Rows of the request.
        latencies: Milliseconds.
        degraded: Whether another than the chosen arm answered.
        bodies: Media type and body; empty if they were not asked for.
    """

    times: Array
    arms: NDArray[np.object_]
    probabilities: Array
    keys: Integers
    names: list[str | None]
    rewards: Array
    num_rows: Integers
    latencies: Array
    degraded: NDArray[np.bool_]
    bodies: list[tuple[str | None, bytes]]


def journal_rows(database: JournalDatabase, query: RowQuery) -> Iterator[Rows]:
    """Reads the predictions of an experiment.

    Args:
        database: Database of the journal.
        query: What to read.

    Yields:
        Parts; a key is in one part only.
    """
    columns = (
        f"p.time, p.arm, p.probability, {key_name(database, query.key)} AS name, p.num_rows, p.latency_ms, p.degraded, "
    )
    columns += (
        f"(SELECT avg(o.reward) FROM {database.table('outcomes')} AS o WHERE o.request_id = p.request_id "
        "AND o.reward IS NOT NULL AND o.time <= p.time + ?)"
    )
    if query.with_bodies:
        columns += ", p.content_type, p.body"
    order = "p.number" if query.key == "request" else "name, p.number"
    statement = (
        f"SELECT {columns} FROM {database.answered} AS p WHERE p.experiment = ? AND p.time >= ? ORDER BY {order}"
    )
    values = (min(query.within_seconds, 1e12), query.experiment, query.since)
    next_key = 0
    for part in _whole_keys(database.stream(statement, values, at_once=_AT_ONCE), has_names=query.key != "request"):
        rows = _rows(part, query, next_key)
        next_key = int(rows.keys[-1]) + 1
        yield rows


def _whole_keys(parts: Iterator[list[tuple[Any, ...]]], *, has_names: bool) -> Iterator[list[tuple[Any, ...]]]:
    """Moves the begin of a key at the end of a part to the next part."""
    kept: list[tuple[Any, ...]] = []
    for part in parts:
        rows = kept + part
        kept = []
        if has_names and (last := rows[-1][3]) is not None:
            end = len(rows)
            while end and rows[end - 1][3] == last:
                end -= 1
            rows, kept = rows[:end], rows[end:]
        if rows:
            yield rows
    if kept:
        yield kept


def _rows(part: list[tuple[Any, ...]], query: RowQuery, next_key: int) -> Rows:
    times, arms, probabilities, names, num_rows, latencies, degraded, rewards, *bodies = zip(*part, strict=True)
    if query.key != "request":
        pairs = zip(names, (object(), *names[:-1]), strict=True)
        is_first = np.array([name is None or name != earlier for name, earlier in pairs])
        keys = next_key - 1 + np.cumsum(is_first)
    else:
        keys = next_key + np.arange(len(part))
    return Rows(
        times=np.array(times, np.float64),
        arms=np.array(arms, object),
        probabilities=np.array(probabilities, np.float64),
        keys=keys,
        names=list(names),
        rewards=np.array([np.nan if reward is None else reward for reward in rewards], np.float64),
        num_rows=np.array(num_rows, np.int64),
        latencies=np.array(latencies, np.float64),
        degraded=np.array([reason is not None for reason in degraded]),
        bodies=list(zip(*bodies, strict=True)),
    )


def key_name(database: JournalDatabase, key: Key) -> str:
    """Name of the key of a prediction `p`, in SQL; null where it has none, and where each request is a key.

    A session is one of its API key, and stands in the query of the request.

    Args:
        database: Database of the journal.
        key: What arms are chosen for.
    """
    if key == "request":
        return "NULL"
    if key == "entity":
        return "p.entity"
    query = "('&' || coalesce(p.query, '') || '&')"
    if database.url.startswith("sqlite"):
        begin = f"instr({query}, '&session=') + 9"
        session = f"substr({query}, {begin}, instr(substr({query}, {begin}), '&') - 1)"
        return f"CASE WHEN instr({query}, '&session=') > 0 THEN coalesce(p.key_id || '/', '') || {session} END"
    session = f"split_part(split_part({query}, '&session=', 2), '&', 1)"
    return f"CASE WHEN strpos({query}, '&session=') > 0 THEN coalesce(p.key_id || '/', '') || {session} END"


def versions_of(database: JournalDatabase, query: RowQuery) -> dict[str, dict[str, int]]:
    """Number of requests by arm and version that answered; a package that is no version is named by its digest.

    Args:
        database: Database of the journal.
        query: The experiment.
    """
    versions: dict[str, dict[str, int]] = {}
    rows = database.execute(
        f"SELECT p.arm, p.version, p.digest, count(*) FROM {database.answered} AS p WHERE p.experiment = ? "
        "AND p.time >= ? AND p.degraded IS NULL GROUP BY p.arm, p.version, p.digest ORDER BY min(p.number)",
        (query.experiment, query.since),
    )
    for arm, version, digest, count in rows:
        name = digest[:12] if version is None else str(version)
        versions.setdefault(arm, {})[name] = versions.get(arm, {}).get(name, 0) + int(count)
    return versions


def num_late(database: JournalDatabase, query: RowQuery) -> int:
    """Number of requests whose rewards all came too late.

    Args:
        database: Database of the journal.
        query: The experiment and its limit.
    """
    if np.isinf(query.within_seconds):
        return 0
    outcomes = database.table("outcomes")
    ((count,),) = next(
        database.stream(
            f"SELECT count(*) FROM (SELECT p.request_id FROM {outcomes} AS o JOIN {database.answered} AS p "
            "ON p.request_id = o.request_id WHERE p.experiment = ? AND p.time >= ? AND o.reward IS NOT NULL "
            "GROUP BY p.request_id, p.time HAVING min(o.time) > p.time + ?) AS late",
            (query.experiment, query.since, query.within_seconds),
        )
    )
    return int(count)
