"""Past rewards of a model: mean, spread and traffic, for planning an experiment."""

import math

from msgspec import Struct

from lightning_app.serving.journal.stores.database import JournalDatabase

_DAY = 86_400.0


class PastRewards(Struct, frozen=True, kw_only=True):
    """Rewards of a model.

    Attributes:
        requests: Answered requests.
        rewarded: Those with a reward.
        mean: Mean reward of a request.
        deviation: Standard deviation of the reward of a request.
        days: Days from the first to the last request.
    """

    requests: int
    rewarded: int
    mean: float
    deviation: float
    days: float


def past_rewards(database: JournalDatabase, model: str, *, since: float) -> PastRewards:
    """Rewards of a model.

    Args:
        database: Database of the journal.
        model: Name of the model.
        since: First time of arrival, Unix seconds.

    Raises:
        ValueError: The journal has no request of the model since then.
    """
    rewards = (
        "SELECT p.time AS time, (SELECT avg(o.reward) FROM "
        f"{database.table('outcomes')} AS o WHERE o.request_id = p.request_id) AS reward "
        f"FROM {database.answered} AS p WHERE p.model = ? AND p.time >= ?"
    )
    values = (model, since)
    ((requests, rewarded, first, last, mean),) = next(
        database.stream(
            f"SELECT count(*), count(reward), min(time), max(time), avg(reward) FROM ({rewards}) AS r", values
        )
    )
    if not requests:
        raise ValueError(f"model: the journal has no request of {model!r} since then; --days looks further back")
    deviation = 0.0
    if rewarded > 1:
        # In a second pass, so that squares of large rewards do not cancel.
        ((squares,),) = next(
            database.stream(f"SELECT sum((reward - ?) * (reward - ?)) FROM ({rewards}) AS r", (mean, mean, *values))
        )
        deviation = math.sqrt(squares / (rewarded - 1))
    return PastRewards(
        requests=requests, rewarded=rewarded, mean=mean or 0.0, deviation=deviation,
        days=max((last - first) / _DAY, 1 / 24),
    )  # fmt: skip
