"""ArmCounter: requests, failures and latencies of the arms of a worker, since they were written last."""

import os
import socket
import time

from lightning_app.serving.journal.arm_count import NUM_LATENCY_BINS, ArmCount, latency_bin
from lightning_app.serving.routing.served_model import Arm

_Chosen = tuple[str, str, int | None, float]


class ArmCounter:
    """Counts what experiments compare beside rewards. Requests outside of experiments are not counted.

    Attributes:
        worker: Name of the worker, unique over servers.
    """

    def __init__(self) -> None:
        self.worker = f"{socket.gethostname()}/{os.getpid()}"
        self._counts: dict[_Chosen, ArmCount] = {}

    def count(self, arm: Arm, *, seconds: float, failed: bool, degraded: bool) -> None:
        """Counts one request; costs a microsecond.

        Args:
            arm: The arm that was chosen.
            seconds: From the arrival of the request to its answer.
            failed: Whether the arm did not answer it.
            degraded: Whether another answered it instead.
        """
        if arm.experiment is None:
            return
        key = (arm.experiment, arm.name, arm.model.version, arm.probability)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = self._new(key)
        counts.requests += 1
        if failed:
            counts.failures += 1
        if degraded:
            counts.degraded += 1
        if degraded or not failed:
            counts.latencies[latency_bin(1000 * seconds)] += 1

    def take(self) -> list[ArmCount]:
        """What was counted since this was last called."""
        counts, self._counts = list(self._counts.values()), {}
        now = time.time()
        for each in counts:
            each.time = now
        return counts

    def _new(self, key: _Chosen) -> ArmCount:
        experiment, arm, version, probability = key
        return ArmCount(
            time=0.0,
            experiment=experiment,
            worker=self.worker,
            arm=arm,
            version=version,
            probability=probability,
            requests=0,
            failures=0,
            degraded=0,
            latencies=[0] * NUM_LATENCY_BINS,
        )
