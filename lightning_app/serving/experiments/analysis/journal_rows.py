"""Rows of an experiment in the journal: read part by part, all requests of a key side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.journal.stores.database import JournalDatabase

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_AT_ONCE = 20_000


class RowQuery(Struct, frozen=True, kw_only=True):
    """Which predictions of an experiment are read, and how.

    Attributes:
        experiment: Its id.
        since: First time of arrival, Unix seconds.
        by_entity: Whether the requests of an entity belong together.
        within_seconds: Rewards that came later are not read; infinity reads all.
        with_bodies: Whether bodies are read.
    """

    experiment: str
    since: float
    by_entity: bool
    within_seconds: float = float("inf")
    with_bodies: bool = False


class Rows(Struct, kw_only=True):
    """Predictions, one element each.

    Attributes:
        times: Arrival, Unix seconds.
        arms: Names of the chosen arms.
        probabilities: Of the choices.
        keys: Number of the key; rows of a key are neighbours.
        entities: Entities; None without.
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
    entities: list[str | None]
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
    columns = "p.time, p.arm, p.probability, p.entity, p.num_rows, p.latency_ms, p.degraded, "
    columns += (
        f"(SELECT avg(o.reward) FROM {database.table('outcomes')} AS o WHERE o.request_id = p.request_id "
        "AND o.reward IS NOT NULL AND o.time <= p.time + ?)"
    )
    if query.with_bodies:
        columns += ", p.content_type, p.body"
    order = "p.entity, p.number" if query.by_entity else "p.number"
    statement = (
        f"SELECT {columns} FROM {database.answered} AS p WHERE p.experiment = ? AND p.time >= ? ORDER BY {order}"
    )
    values = (min(query.within_seconds, 1e12), query.experiment, query.since)
    next_key = 0
    for part in _whole_keys(database.stream(statement, values, at_once=_AT_ONCE), by_entity=query.by_entity):
        rows = _rows(part, query, next_key)
        next_key = int(rows.keys[-1]) + 1
        yield rows


def _whole_keys(parts: Iterator[list[tuple[Any, ...]]], *, by_entity: bool) -> Iterator[list[tuple[Any, ...]]]:
    """Moves the begin of a key at the end of a part to the next part."""
    kept: list[tuple[Any, ...]] = []
    for part in parts:
        rows = kept + part
        kept = []
        if by_entity and (last := rows[-1][3]) is not None:
            end = len(rows)
            while end and rows[end - 1][3] == last:
                end -= 1
            rows, kept = rows[:end], rows[end:]
        if rows:
            yield rows
    if kept:
        yield kept


def _rows(part: list[tuple[Any, ...]], query: RowQuery, next_key: int) -> Rows:
    times, arms, probabilities, entities, num_rows, latencies, degraded, rewards, *bodies = zip(*part, strict=True)
    if query.by_entity:
        pairs = zip(entities, (object(), *entities[:-1]), strict=True)
        is_first = np.array([entity is None or entity != earlier for entity, earlier in pairs])
        keys = next_key - 1 + np.cumsum(is_first)
    else:
        keys = next_key + np.arange(len(part))
    return Rows(
        times=np.array(times, np.float64),
        arms=np.array(arms, object),
        probabilities=np.array(probabilities, np.float64),
        keys=keys,
        entities=list(entities),
        rewards=np.array([np.nan if reward is None else reward for reward in rewards], np.float64),
        num_rows=np.array(num_rows, np.int64),
        latencies=np.array(latencies, np.float64),
        degraded=np.array([reason is not None for reason in degraded]),
        bodies=list(zip(*bodies, strict=True)),
    )


class ArmPredictions(Struct, frozen=True, kw_only=True):
    """Predictions of one arm.

    Attributes:
        arm: The arm.
        requests: Number of requests.
        first: Time of the first one, Unix seconds.
        last: Time of the last one.
        rows: Rows of all.
        several_rows: Requests with more than one row.
        with_entity: Requests with an entity.
    """

    arm: str
    requests: int
    first: float
    last: float
    rows: int
    several_rows: int
    with_entity: int


def arm_predictions(database: JournalDatabase, experiment: str, *, since: float) -> list[ArmPredictions]:
    """Predictions of an experiment by arm.

    Args:
        database: Database of the journal.
        experiment: Its id.
        since: First time of arrival, Unix seconds.
    """
    parts = database.stream(
        "SELECT arm, count(*), min(time), max(time), sum(num_rows), sum(CASE WHEN num_rows > 1 THEN 1 ELSE 0 END), "
        f"count(entity) FROM {database.answered} AS p WHERE experiment = ? AND time >= ? GROUP BY arm ORDER BY arm",
        (experiment, since),
    )
    return [
        ArmPredictions(
            arm=arm, requests=requests, first=first, last=last, rows=int(num_rows), several_rows=int(several),
            with_entity=with_entity,
        )
        for part in parts
        for arm, requests, first, last, num_rows, several, with_entity in part
    ]  # fmt: skip


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
