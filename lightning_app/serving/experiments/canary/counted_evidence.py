"""Counted evidence: adds up what the workers of all servers have counted, and the rewards that came in."""

from collections.abc import Mapping

import msgspec

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.experiments.canary.evidence import CHALLENGER, CHAMPION, ArmTotals, Evidence
from lightning_app.serving.experiments.sequential.mean_difference import Moments
from lightning_app.serving.experiments.store import RewardReader
from lightning_app.serving.journal.arm_count import LATENCY_BOUNDS_MS, NUM_LATENCY_BINS, summed_latencies
from lightning_app.serving.journal.stores.database import JournalDatabase


class CountedEvidence:
    """Evidence of one canary; a new one reads everything again.

    Args:
        database: Database of the journal.
        canary: Id of the canary.
        versions: Version by arm; what another version answered under the name of an arm is left out.
        reward: Rewards that count; None counts none.

    Attributes:
        workers: Workers that have counted.
        num_left_out: Requests that another version answered.
    """

    def __init__(
        self,
        database: JournalDatabase,
        canary: str,
        *,
        versions: Mapping[str, int | None],
        reward: RewardConfig | None,
    ) -> None:
        self._database, self._canary, self._versions = database, canary, versions
        self._rewards = None if reward is None else RewardReader(database, canary, limits=reward)
        self._requests: dict[tuple[str, float], ArmTotals] = {}
        self._moments: dict[tuple[str, float], Moments] = {}
        self.workers: set[str] = set()
        self.num_left_out = 0

    def read(self) -> Evidence:
        """Everything that was counted so far.

        Raises:
            JournalError: The journal cannot be read.
        """
        self._read_counts()
        for rewarded in () if self._rewards is None else self._rewards.new():
            key, reward = (rewarded.arm, rewarded.probability), rewarded.reward
            before = self._moments.get(key, Moments(0, 0.0, 0.0))
            self._moments[key] = Moments(before.count + 1, before.total + reward, before.squares + reward * reward)
        return Evidence(requests=dict(self._requests), bounds=LATENCY_BOUNDS_MS, rewards=dict(self._moments))

    def _read_counts(self) -> None:
        """Reads all counts again: older ones are merged from time to time, so there are never many."""
        query = (
            "SELECT worker, arm, version, probability, requests, failures, latencies "
            f"FROM {self._database.table('arm_counts')} WHERE experiment = ?"
        )
        totals: dict[tuple[str, float], ArmTotals] = {}
        self.num_left_out = 0
        for worker, arm, version, probability, requests, failures, latencies in self._database.execute(
            query, (self._canary,)
        ):
            self.workers.add(worker)
            if arm not in (CHALLENGER, CHAMPION) or version != self._versions[arm]:
                self.num_left_out += requests
                continue
            before = totals.get((arm, probability), ArmTotals(0, 0, [0] * NUM_LATENCY_BINS))
            totals[arm, probability] = ArmTotals(
                before.requests + requests,
                before.failures + failures,
                summed_latencies(list(before.latencies), msgspec.json.decode(latencies)),
            )
        self._requests = totals
