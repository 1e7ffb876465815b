"""Reward totals: requests and rewards of an experiment, by arm and probability, or by entity and arm."""

from typing import Any

import msgspec

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.journal.stores.database import JournalDatabase


class RewardTotals(msgspec.Struct, kw_only=True):
    """Rewards of an arm that was chosen with one probability.

    Attributes:
        requests: Requests, with or without a reward.
        rewards: Rewards; a request of several rows may have several.
        total: Sum of the rewards.
        total_squares: Sum of their squares.
    """

    requests: int = 0
    rewards: int = 0
    total: float = 0.0
    total_squares: float = 0.0


class EntityTotals(RewardTotals, kw_only=True):
    """Rewards of one entity under one arm: a cluster of an analysis.

    Attributes:
        entity: Key of the entity.
        arm: The arm that was chosen.
    """

    entity: str
    arm: str


def reward_totals(
    database: JournalDatabase,
    experiment: str,
    *,
    limits: RewardConfig | None = None,
    since: float | None = None,
    until: float | None = None,
) -> dict[tuple[str, float], RewardTotals]:
    """Requests and rewards by arm and probability.

    Args:
        database: Database of the journal.
        experiment: Id of the experiment.
        limits: Rewards that count; None counts all.
        since: First time of arrival of the requests, Unix seconds; None takes all.
        until: First time that is not counted any more.

    Raises:
        JournalError: The journal cannot be read.
    """
    totals: dict[tuple[str, float], RewardTotals] = {}
    for (arm, probability), values in _grouped(database, experiment, "p.arm, p.probability", limits, since, until):
        totals[arm, probability] = RewardTotals(**values)
    return totals


def entity_totals(
    database: JournalDatabase,
    experiment: str,
    *,
    limits: RewardConfig | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[EntityTotals]:
    """Requests and rewards by entity and arm; requests without an entity are left out.

    Args:
        database: Database of the journal.
        experiment: Id of the experiment.
        limits: Rewards that count; None counts all.
        since: First time of arrival of the requests, Unix seconds; None takes all.
        until: First time that is not counted any more.

    Raises:
        JournalError: The journal cannot be read.
    """
    groups = _grouped(database, experiment, "p.entity, p.arm", limits, since, until)
    return [EntityTotals(entity=entity, arm=arm, **values) for (entity, arm), values in groups if entity is not None]


def _grouped(
    database: JournalDatabase,
    experiment: str,
    columns: str,
    limits: RewardConfig | None,
    since: float | None,
    until: float | None,
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    conditions, values = ["p.experiment = ?", "p.number >= ?"], [experiment, _first_number(database, experiment, since)]
    for condition, bound in (("p.time >= ?", since), ("p.time < ?", until)):
        if bound is not None:
            conditions.append(condition)
            values.append(bound)
    counted, bounds = _counted(limits)
    rewards = (
        f"SELECT {columns}, count(*), sum(o.reward), sum(o.reward * o.reward) FROM {database.answered} AS p "
        f"JOIN {database.table('outcomes')} AS o ON o.request_id = p.request_id "
        f"WHERE {' AND '.join([*conditions, *counted])} GROUP BY {columns}"
    )
    # Rewards first: a request may be counted before its reward is, never the other way round.
    sums = {tuple(row[:2]): row[2:] for row in database.execute(rewards, [*values, *bounds])}
    requests = (
        f"SELECT {columns}, count(*) FROM {database.answered} AS p WHERE {' AND '.join(conditions)} "
        f"GROUP BY {columns} ORDER BY {columns}"
    )
    groups = []
    for *key, count in database.execute(requests, values):
        number, total, total_squares = sums.get(tuple(key), (0, 0.0, 0.0))
        facts = {"requests": count, "rewards": number, "total": total, "total_squares": total_squares}
        groups.append((tuple(key), facts))
    return groups


def _counted(limits: RewardConfig | None) -> tuple[list[str], list[float]]:
    """Conditions on rewards that count, and their values."""
    if limits is None:
        return ["o.reward IS NOT NULL"], []
    if limits.kind == "binary":
        return ["o.reward IN (0, 1)", "o.time - p.time <= ?"], [limits.within_seconds]
    return ["o.reward BETWEEN ? AND ?", "o.time - p.time <= ?"], [limits.low, limits.high, limits.within_seconds]


def _first_number(database: JournalDatabase, experiment: str, since: float | None) -> int:
    created = database.execute(f"SELECT created FROM {database.table('experiments')} WHERE id = ?", (experiment,))
    bounds = [*(row[0] for row in created), *([] if since is None else [since])]
    return database.first_number("predictions", since=max(bounds)) if bounds else 0
