"""Evidence of an experiment that is new since its state was written: rewards, and answers that got none."""

from dataclasses import dataclass

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.experiments.process.experiment_state import Read
from lightning_app.serving.experiments.store import Rewarded, RewardReader
from lightning_app.serving.journal.stores.database import JournalDatabase

_MOST = 10_000
"""Rewards of one look, about; the next look reads on."""
_GRACE_SECONDS = 5.0
"""A reward that came in time may be written so much later."""


@dataclass(frozen=True)
class Missing:
    """An answer for which no reward came in time.

    Attributes:
        request_id: Id of the request.
        arm: Arm that was chosen.
        time: When the request arrived, Unix seconds.
        content_type: Media type of the body.
        body: Body of a request with one row; None with several rows, or if it was not asked for.
    """

    request_id: str
    arm: str
    time: float
    content_type: str
    body: bytes | None


@dataclass(frozen=True)
class Evidence:
    """What is new.

    Attributes:
        rewards: Rewards that count.
        missing: Answers without a reward, once it is too late for one.
        late: Rewards that came too late.
        out_of_range: Rewards out of bounds.
        read: How far the journal is read with this.
    """

    rewards: list[Rewarded]
    missing: list[Missing]
    late: int
    out_of_range: int
    read: Read

    @property
    def is_some(self) -> bool:
        """Whether there is anything new, be it only what does not count."""
        return bool(self.rewards or self.missing or self.late or self.out_of_range)


class EvidenceReader:
    """Reads what is new; holds no position of its own, so that any server can go on.

    Args:
        database: Database of the journal.
        experiment: Id of the experiment.
        reward: What rewards are.
        with_body: Whether bodies of requests are needed.
        with_missing: Whether missing rewards count.
    """

    def __init__(
        self, database: JournalDatabase, experiment: str, *, reward: RewardConfig, with_body: bool, with_missing: bool
    ) -> None:
        self._database, self._experiment, self._reward = database, experiment, reward
        self._with_body, self._with_missing = with_body, with_missing

    def new(self, read: Read, *, created: float) -> Evidence:
        """What is new since a position.

        Args:
            read: The position.
            created: When the experiment began, Unix seconds.

        Raises:
            JournalError: The journal cannot be read.
        """
        reader = RewardReader(
            self._database, self._experiment, limits=self._reward, position=read.rewards, with_body=self._with_body
        )
        rewards: list[Rewarded] = []
        position = reader.position
        for rewarded in reader.new():
            if reader.position != position:
                if len(rewards) >= _MOST:
                    break  # this one is in the next part, which is read again
                position = reader.position
            rewards.append(rewarded)
        missing, last = self._missing(read, created) if self._with_missing else ([], read.missing)
        return Evidence(
            rewards=rewards,
            missing=missing,
            late=reader.num_expired,
            out_of_range=reader.num_out_of_range,
            read=Read(rewards=reader.position, missing=last),
        )

    def _missing(self, read: Read, created: float) -> tuple[list[Missing], int]:
        """Answers that are old enough for a reward, and have none that counts."""
        database, first = self._database, read.missing
        if first is None:
            first = database.first_number("predictions", since=created) - 1
        end = self._last_due(first)
        if end is None:
            return [], first
        reward = self._reward
        rewards = f"SELECT 1 FROM {database.table('outcomes')} AS o WHERE o.request_id = p.request_id"
        if reward.kind == "binary":
            rewards += " AND o.reward IN (0, 1)"
        bounds = [] if reward.kind == "binary" else [reward.low, reward.high]
        rewards += " AND o.reward BETWEEN ? AND ?" if bounds else ""
        body = "p.content_type, CASE WHEN p.num_rows = 1 THEN p.body END" if self._with_body else "NULL, NULL"
        rows = database.execute(
            f"SELECT p.request_id, p.arm, p.time, {body} FROM {database.answered} AS p WHERE p.experiment = ? "
            f"AND p.number > ? AND p.number <= ? AND NOT EXISTS ({rewards} AND o.time - p.time <= ?) ORDER BY p.number",
            (self._experiment, first, end, *bounds, reward.within_seconds),
        )
        return [Missing(name, arm, time, kind or "", body) for name, arm, time, kind, body in rows], end

    def _last_due(self, first: int) -> int | None:
        """Number of the last prediction before the first that may still get a reward; None without any."""
        predictions = self._database.table("predictions")
        query = f"SELECT number, time FROM {predictions} WHERE number > ? AND number <= ? ORDER BY number LIMIT "
        settled = self._database.settled("predictions")
        due = self._database.now() - self._reward.within_seconds - _GRACE_SECONDS
        head = self._database.execute(f"{query}1", (first, settled))
        if not head or head[0][1] > due:
            return None
        end = None
        for number, time in self._database.execute(f"{query}{_MOST}", (first, settled)):
            if time > due:
                break
            end = number
        return end
