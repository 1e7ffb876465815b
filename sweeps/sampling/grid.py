"""Grid sampler: all points of a space in order."""

from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from typing_extensions import override

from lightning_app.errors import UsageError
from sweeps.space.search_space import COUNTABLE, SearchSpace


class GridSampler(BaseSampler):
    """Gives a trial the point of its number; conditions are honoured.

    Args:
        space: A space with finitely many points.

    Raises:
        UsageError: Some number has no step, or there are too many points.
    """

    def __init__(self, space: SearchSpace) -> None:
        for parameter in space.parameters:
            if parameter.size() is None:
                advice = "give choices" if parameter.log else "give a step, or choices"
                raise UsageError(f"space.{parameter.key}: a grid needs values that can be counted; {advice}")
        if space.size() is None:
            raise UsageError(f"sampler: a grid of more than {COUNTABLE} points; take another sampler, or fewer values")
        self.space = space
        self._parameters = {parameter.key: parameter for parameter in space.parameters}

    @cached_property
    def _points(self) -> list[dict[str, Any]]:
        return list(self.space.points())

    @override
    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    @override
    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        point, parameter = self._points[trial.number % len(self._points)], self._parameters[param_name]
        # A trial that was taken over half drawn may need what is not in its point.
        return parameter.stored(point[param_name] if param_name in point else parameter.values()[0])
