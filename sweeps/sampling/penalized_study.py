"""Penalized study: a view of the study for samplers that do not support constraints."""

import copy
from collections.abc import Container

import optuna
from optuna.study import StudyDirection
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from sweeps.sampling.constraints import has_diverged, is_feasible


class PenalizedStudy(optuna.Study):
    """Gives trials that broke a bound, or diverged, a value where they were stopped before they had one.

    GP, NSGA-II and CMA-ES look at completed trials alone, and CMA-ES at nothing but their values.

    Args:
        study: The study.
        by_value: Every trial that broke a bound gets a value worse than that of any feasible one, the worse the further
            it is off (for samplers that rank by values; Deb, 2000, "An efficient constraint handling method for genetic
            algorithms"). Else those without a value get the worst that there is.
    """

    def __init__(self, study: optuna.Study, *, by_value: bool) -> None:
        # Without Study.__init__, which would ask the storage for what is known.
        self.study_name = study.study_name
        self.sampler = study.sampler
        self.pruner = study.pruner
        self._storage = study._storage
        self._study_id = study._study_id
        self._directions = study._directions
        self._thread_local = study._thread_local
        self._study = study
        self._by_value = by_value

    @override
    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    @override
    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        seen = self._penalized(self._study._get_trials(deepcopy=False, use_cache=use_cache))
        wanted = [trial for trial in seen if states is None or trial.state in states]
        return copy.deepcopy(wanted) if deepcopy else wanted

    def _penalized(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        bounded = {trial.number: trial.constraints for trial in trials if trial.state.is_finished()}
        names = list(dict.fromkeys(name for constraints in bounded.values() for name in constraints))
        if not names and not any(map(has_diverged, trials)):
            return trials
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        values = [trial.values for trial in [t for t in complete if is_feasible(t)] or complete]
        signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in self._directions]
        columns = list(zip(*values, strict=True)) or [(0.0,)] * len(signs)
        worst = [max(column, key=lambda value: sign * value) for column, sign in zip(columns, signs, strict=True)]
        spans = [max(column) - min(column) or 1.0 for column in columns]
        seen = []
        for trial in trials:
            if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
                seen.append(trial)
                continue
            constraints = bounded[trial.number]
            violation = sum(amount for amount in constraints.values() if amount > 0) + has_diverged(trial)
            if trial.state == TrialState.PRUNED and violation == 0:
                seen.append(trial)
                continue
            shown = copy.copy(trial)
            # GP wants the same constraints of all; what was not measured counts as at its bound.
            others = {key: value for key, value in trial.system_attrs.items() if not key.startswith(_CONSTRAINTS_KEY)}
            shown.system_attrs = others | {f"{_CONSTRAINTS_KEY}:{name}": constraints.get(name, 0.0) for name in names}
            if violation > 0 and (self._by_value or trial.state == TrialState.PRUNED):
                shown.state = TrialState.COMPLETE
                away = 1.0 + violation if self._by_value else 0.0
                shown.values = [w + sign * span * away for w, sign, span in zip(worst, signs, spans, strict=True)]
            seen.append(shown)
        return seen
