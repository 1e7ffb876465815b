"""RewardReader: rewards of an experiment as they come in, each exactly once."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.journal.reward_limits import is_late, is_within
from lightning_app.serving.journal.stores.database import JournalDatabase

_PART = 2000
_FIELDS = (
    'o.number, o.request_id, o."row", p.entity, p.arm, p.probability, p.version, p.degraded, p.time, o.time, o.reward'
)
_BODY = ", p.content_type, CASE WHEN p.num_rows = 1 THEN p.body END"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far rewards were read: every pair of an outcome and a prediction up to these numbers.

    Attributes:
        outcomes: Number of an outcome.
        predictions: Number of a prediction.
    """

    outcomes: int
    predictions: int


class Rewarded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A reward and the prediction that it is for.

    Attributes:
        number: Number of the outcome.
        request_id: Id of the request.
        row: Row of the request.
        entity: Key of the entity.
        arm: Arm that was chosen.
        probability: Probability with which it was chosen.
        version: Version that answered.
        degraded: Why the answer is not the arm's own; None if it is.
        time: When the request arrived, Unix seconds.
        outcome_time: When the reward arrived, Unix seconds.
        reward: The reward.
        content_type: Media type of the body.
        body: Body of a request with one row, as it was journalled; None with several rows, or if it was not asked for.
    """

    number: int
    request_id: str
    row: int
    entity: str | None
    arm: str
    probability: float
    version: int | None
    degraded: str | None
    time: float
    outcome_time: float
    reward: float
    content_type: str = "application/json"
    body: bytes | None = None


class RewardReader:
    """Rewards of one experiment, in the order in which they were written.

    Several workers write at the same time, and the number of an outcome may be seen before a smaller one: only what is
    settled is read, which takes a call more while somebody is writing. An outcome may come before its prediction, which
    was in a spill file: it is read when the prediction is there, after outcomes with larger numbers.

    Args:
        database: Database of the journal.
        experiment: Id of the experiment.
        limits: Rewards that count; None counts all.
        position: Where to go on; None begins with the experiment.
        with_body: Whether to read the bodies of requests with one row.

    Attributes:
        position: How far rewards were read. It belongs with what was learned from them: who stores both in one
            transaction learns from each reward once, whoever goes on. It is set when all rewards of a part were taken:
            who stops within `new` begins again from a position of before.
        num_expired: Rewards that came too late, and were left out.
        num_out_of_range: Rewards out of bounds, and left out.
    """

    def __init__(
        self,
        database: JournalDatabase,
        experiment: str,
        *,
        limits: RewardConfig | None = None,
        position: Position | None = None,
        with_body: bool = False,
    ) -> None:
        self._database, self._experiment, self._limits = database, experiment, limits
        self._with_body = with_body
        self._part_size = _PART
        self._is_fresh = position is None
        self.position = position or self._first()
        self.num_expired = self.num_out_of_range = 0

    def new(self) -> Iterator[Rewarded]:
        """Rewards that were not read yet.

        Raises:
            JournalError: The journal cannot be read.
        """
        predictions, outcomes = self._database.settled("predictions"), self._database.settled("outcomes")
        yield from self._of_new_predictions(predictions)
        yield from self._of_new_outcomes(outcomes)

    def _first(self) -> Position:
        query = f"SELECT created FROM {self._database.table('experiments')} WHERE id = ?"
        created = self._database.execute(query, (self._experiment,))
        if not created:
            return Position(outcomes=0, predictions=0)
        # No outcome of the experiment is older, and so none of its predictions is needed before.
        outcomes = self._database.first_number("outcomes", since=created[0][0]) - 1
        predictions = self._database.first_number("predictions", since=created[0][0]) - 1
        return Position(outcomes=outcomes, predictions=predictions)

    def _of_new_predictions(self, last: int) -> Iterator[Rewarded]:
        """Rewards that were there before their predictions."""
        if self._is_fresh:  # no reward was read yet, so none waits for its prediction
            self._is_fresh = False
            last = max(last, self.position.predictions)
            self.position = Position(outcomes=self.position.outcomes, predictions=last)
        query = self._query("p.number > ? AND p.number <= ? AND o.number <= ?", "p.number, o.number")
        while self.position.predictions < last:
            begin, outcomes = self.position.predictions, self.position.outcomes
            # As many predictions as a part has, whether they have rewards or not.
            ((end,),) = self._database.execute(
                f"SELECT max(number) FROM (SELECT number FROM {self._database.table('predictions')} "
                f"WHERE number > ? AND number <= ? ORDER BY number LIMIT {self._part_size}) AS part",
                (begin, last),
            )
            if end is not None:
                yield from self._counted(self._database.execute(query, (self._experiment, begin, end, outcomes)))
            self.position = Position(outcomes=outcomes, predictions=last if end is None else end)

    def _of_new_outcomes(self, last: int) -> Iterator[Rewarded]:
        """Rewards whose predictions were there before."""
        query = self._query("o.number > ? AND o.number <= ? AND p.number <= ?", "o.number")
        while self.position.outcomes < last:
            begin, predictions = self.position.outcomes, self.position.predictions
            ((end,),) = self._database.execute(
                f"SELECT max(number) FROM (SELECT number FROM {self._database.table('outcomes')} "
                f"WHERE number > ? AND number <= ? ORDER BY number LIMIT {self._part_size}) AS part",
                (begin, last),
            )
            if end is not None:
                yield from self._counted(self._database.execute(query, (self._experiment, begin, end, predictions)))
            self.position = Position(outcomes=last if end is None else end, predictions=predictions)

    def _query(self, condition: str, order: str) -> str:
        return (
            f"SELECT {_FIELDS}{_BODY if self._with_body else ''} FROM {self._database.table('outcomes')} AS o "
            f"JOIN {self._database.answered} AS p ON p.request_id = o.request_id "
            f"WHERE o.reward IS NOT NULL AND p.experiment = ? AND {condition} ORDER BY {order}"
        )

    def _counted(self, rows: Sequence[Sequence[Any]]) -> Iterator[Rewarded]:
        """Rewards that count; the others are added up with the end of a part, as the position is."""
        num_expired = num_out_of_range = 0
        for row in rows:
            rewarded = Rewarded(**dict(zip(Rewarded.__struct_fields__, row, strict=False)))
            limits = self._limits
            if limits is not None and not is_within(rewarded.reward, limits):
                num_out_of_range += 1
            elif limits is not None and is_late(limits, answered=rewarded.time, rewarded=rewarded.outcome_time):
                num_expired += 1
            else:
                yield rewarded
        self.num_expired += num_expired
        self.num_out_of_range += num_out_of_range
