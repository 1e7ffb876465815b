"""Early stop of a study that has ceased to improve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna._hypervolume import compute_hypervolume
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lightning_app.errors import UsageError, nearest
from sweeps.sampling.constraints import is_feasible

_Costs = np.ndarray[Any, np.dtype[np.float64]]
_KEYS = ("patience", "min_delta")


@dataclass(frozen=True)
class EarlyStop:
    """No further trials are asked for when the latest ones brought nothing.

    It looks at the storage alone: hosts agree, and a study that goes on counts what was before.

    Attributes:
        patience: Finished trials (completed or pruned) without a new best.
        min_delta: What a new best is better by, at least; of several metrics, the share by which the volume that the
            Pareto front dominates grows.
    """

    patience: int
    min_delta: float = 0.0

    @classmethod
    def read(cls, section: Any) -> "EarlyStop | None":
        """Reads the `stop` section of a sweep's file.

        Args:
            section: `{patience: 20, min_delta: 0.001}`; nothing given is None.

        Raises:
            UsageError: A key or value is wrong.
        """
        if section is None:
            return None
        if not isinstance(section, Mapping):
            raise UsageError(f"stop: {section!r} given, give {{patience: 20}}")
        for name in section:
            if name not in _KEYS:
                raise UsageError(f"stop.{name}: no such key{nearest(str(name), _KEYS)}; allowed: {', '.join(_KEYS)}")
        patience, min_delta = section.get("patience"), section.get("min_delta", 0.0)
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise UsageError(f"stop.patience: {patience!r} given, a number of trials from 1 on is needed")
        if isinstance(min_delta, bool) or not isinstance(min_delta, int | float) or not 0 <= min_delta < np.inf:
            raise UsageError(f"stop.min_delta: {min_delta!r} given, a number from 0 on is needed")
        return cls(patience, float(min_delta))

    def is_exhausted(self, study: optuna.Study) -> bool:
        """Whether the latest `patience` trials to finish brought nothing.

        Args:
            study: The study.

        Returns:
            False as long as there is no completed, feasible trial before those.
        """
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        finished = study.get_trials(deepcopy=False, states=states)
        if len(finished) <= self.patience:
            return False
        # Hosts may give one time to two trials; their numbers decide then.
        finished.sort(key=lambda trial: (trial.datetime_complete or trial.datetime_start, trial.number))
        before = _costs(finished[: -self.patience], study.directions)
        latest = _costs(finished[-self.patience :], study.directions)
        if not len(before):
            return False
        if not len(latest):
            return True
        one = len(study.directions) == 1
        gain = float(before.min() - latest.min()) if one else _growth(before, latest)
        return gain <= 0 or gain < self.min_delta


def _costs(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> _Costs:
    """Values of completed, feasible trials, each metric the smaller the better: (num_trials, num_metrics), float64."""
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    done = [trial.values for trial in trials if trial.state == TrialState.COMPLETE and is_feasible(trial)]
    found = np.array(done, dtype=np.float64).reshape(-1, len(signs)) * np.array(signs)
    return found[np.isfinite(found).all(axis=1)]


def _growth(before: _Costs, latest: _Costs) -> float:
    """Share by which the dominated volume grows, measured from the worst that there was of each metric."""
    everything = np.concatenate([before, latest])
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    corner = np.full(len(span), 1.1)  # beyond the worst, so that the ends of the front count
    first = compute_hypervolume((before - low) / span, corner)
    both = compute_hypervolume((everything - low) / span, corner)
    return float((both - first) / first)
