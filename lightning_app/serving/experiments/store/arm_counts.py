"""ArmCounts: requests, failures and latencies of the arms of an experiment, over all workers."""

from collections.abc import Sequence

import msgspec

from lightning_app.serving.journal.arm_count import NUM_LATENCY_BINS, ArmCount, summed_latencies
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.side_tables import add_counts


class Counts(msgspec.Struct, kw_only=True):
    """Requests of an arm that was chosen with one probability.

    Attributes:
        requests: Requests.
        failures: Of these, those that the arm failed to answer.
        degraded: Of these, those that another answered for it.
        latencies: Answered requests per bin of `LATENCY_BOUNDS_MS`; the last bin has no bound.
    """

    requests: int
    failures: int
    degraded: int
    latencies: list[int]


class ArmCounts:
    """Counts of the arms of all experiments.

    Args:
        database: Database of the journal.
    """

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def add(self, rows: Sequence[ArmCount]) -> None:
        """Writes what was counted.

        Args:
            rows: Counts since the last ones.

        Raises:
            JournalError: The journal cannot be written.
        """
        add_counts(self._database, rows)

    def totals(self, experiment: str) -> dict[tuple[str, float], Counts]:
        """Sums over workers and time, by arm and probability.

        Args:
            experiment: Id of the experiment.

        Raises:
            JournalError: The journal cannot be read.
        """
        query = (
            "SELECT arm, probability, requests, failures, degraded, latencies "
            f"FROM {self._database.table('arm_counts')} WHERE experiment = ?"
        )
        totals: dict[tuple[str, float], Counts] = {}
        for arm, probability, requests, failures, degraded, latencies in self._database.execute(query, (experiment,)):
            total = totals.get((arm, probability))
            if total is None:
                total = totals[arm, probability] = Counts(
                    requests=0, failures=0, degraded=0, latencies=[0] * NUM_LATENCY_BINS
                )
            total.requests += requests
            total.failures += failures
            total.degraded += degraded
            total.latencies = summed_latencies(total.latencies, msgspec.json.decode(latencies))
        return totals
