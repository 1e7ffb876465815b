"""Store of experiments: their states, leases, counts of arms, and rewards, in the database of the journal."""

from lightning_app.serving.experiments.store.arm_counts import ArmCounts, Counts
from lightning_app.serving.experiments.store.experiment_store import (
    CanaryRunningError,
    Event,
    Experiment,
    ExperimentStore,
    Status,
)
from lightning_app.serving.experiments.store.lease import Lease
from lightning_app.serving.experiments.store.reward_reader import Position, Rewarded, RewardReader

__all__ = [
    "ArmCounts",
    "CanaryRunningError",
    "Counts",
    "Event",
    "Experiment",
    "ExperimentStore",
    "Lease",
    "Position",
    "RewardReader",
    "Rewarded",
    "Status",
]
