"""Ranking of trials: which of them count, and in which order."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.sampling.constraints import is_feasible

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Complete trials that keep within their bounds, in the order of their numbers."""
    return [trial for trial in trials if trial.state == TrialState.COMPLETE and is_feasible(trial)]


def ranked(study: optuna.Study, metrics: Mapping[str, str]) -> list[FrozenTrial]:
    """Counted trials, the best first; of several metrics the Pareto front, by the first metric.

    Args:
        study: The study.
        metrics: Name and direction of each metric.
    """
    trials = counted(study.get_trials(deepcopy=False))
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in metrics.values()])
    losses = np.array([trial.values for trial in trials]).reshape(-1, len(signs)) * signs
    order = np.argsort(losses[:, 0], kind="stable")
    if len(signs) > 1:
        order = np.array([index for index in order if not _is_beaten(losses[index], losses)], dtype=int)
    return [trials[index] for index in order]


def _is_beaten(loss: np.ndarray, losses: np.ndarray) -> bool:
    """Whether another trial is as good in every metric and better in one; Optuna's `best_trials` copies all trials."""
    return bool(((losses <= loss).all(axis=1) & (losses < loss).any(axis=1)).any())


def best_so_far(trials: Sequence[FrozenTrial], direction: str) -> list[float]:
    """The best value among a trial and those before it; NaN before there is one.

    Args:
        trials: In the order in which they ended.
        direction: `minimize` or `maximize`.
    """
    best, found = math.nan, []
    better = max if direction == "maximize" else min
    for trial in trials:
        if trial.state == TrialState.COMPLETE and is_feasible(trial) and trial.value is not None:
            best = trial.value if math.isnan(best) else better(best, trial.value)
        found.append(best)
    return found


def in_order_of_end(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Finished trials by the time of their end."""
    done = [trial for trial in trials if trial.state in FINISHED and trial.datetime_complete is not None]
    return sorted(done, key=lambda trial: (str(trial.datetime_complete), trial.number))
