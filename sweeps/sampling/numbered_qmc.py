"""Quasi-Monte Carlo sampler: a low-discrepancy sequence, one point per trial number."""

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import QMCSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from typing_extensions import override

from sweeps.space.search_space import SearchSpace


class NumberedQMC(QMCSampler):
    """Gives a trial the point of its number.

    Optuna's own counts in the storage, where two hosts may get one point, and a point is lost with a trial that was
    drawn twice. Parameters with conditions are drawn by chance.

    Args:
        space: What varies.
        seed: Seed of the sequence, one for all trials.
        qmc_type: `sobol` or `halton`.
        scramble: Whether the sequence is shuffled by the seed.
    """

    def __init__(self, space: SearchSpace, *, seed: int, qmc_type: str, scramble: bool) -> None:
        super().__init__(qmc_type=qmc_type, scramble=scramble, seed=seed, warn_independent_sampling=False)
        self._together = {
            parameter.key: parameter.distribution()
            for parameter in space.parameters
            if not parameter.when and parameter.size() != 1
        }
        self._number = 0

    @override
    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._together

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._number = trial.number
        return super().sample_relative(study, trial, search_space)

    @override
    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number
