"""Importance of each parameter, over the whole space and within each branch of a conditional space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial

from sweeps.reporting.ranking import counted
from sweeps.space.names import value_name
from sweeps.space.search_space import Parameter, SearchSpace

_MIN_TOP = 5
"""So many trials are `good ones` at least; fewer say little about where good values lie."""


@dataclass(frozen=True)
class Branch:
    """Trials that vary the same parameters.

    Attributes:
        conditions: The choices that make the branch, each in a word; empty for the whole space.
        num_trials: Trials in it that are complete and keep within their bounds.
        shares: Share of each parameter, largest first; they sum to one, or are all zero.
    """

    conditions: dict[str, str]
    num_trials: int
    shares: dict[str, float]

    def title(self, names: Mapping[str, str] | None = None) -> str:
        """What it is in words.

        Args:
            names: Shorter names of keys.
        """
        if not self.conditions:
            return "whole space"
        return ", ".join(f"{(names or {}).get(key, key)} = {word}" for key, word in self.conditions.items())


def importances(
    trials: Sequence[FrozenTrial], space: SearchSpace, *, metric: int, direction: str, min_trials: int = 10
) -> list[Branch]:
    """Importances by PED-ANOVA (Watanabe et al. 2023): how the good trials' values differ from all trials' values.

    A conditional parameter is there in some trials only, and what it does differs from branch to branch: over all
    trials it would be credited with what the choice above it does. So the whole space is judged by the parameters that
    every trial has, and the rest within each branch.

    Args:
        trials: Of the study; those count that are complete and keep within their bounds.
        space: What varies.
        metric: Position of the metric.
        direction: `minimize` or `maximize`.
        min_trials: Branches with fewer such trials are left out, as is a whole space with fewer.

    Returns:
        The whole space first, then the branches, that with most trials first.
    """
    complete = counted(trials)
    groups: dict[tuple[Any, ...], list[FrozenTrial]] = {}
    choices = {parameter.key: parameter for parameter in _conditioning(space) if parameter.choices}
    for trial in complete:
        active = frozenset(trial.params)
        groups.setdefault((active, *(repr(trial.params.get(key)) for key in choices)), []).append(trial)
    everywhere = [parameter.key for parameter in space.parameters if not parameter.when]
    found = [Branch({}, len(complete), _shares(complete, everywhere, metric, direction))]
    for members in groups.values() if any(parameter.when for parameter in space.parameters) else ():
        first = members[0].params
        conditions = {key: value_name(first[key], choice) for key, choice in choices.items() if key in first}
        if conditions:
            varied = [key for key in first if key not in conditions]
            found.append(Branch(conditions, len(members), _shares(members, varied, metric, direction)))
    large = [branch for branch in found if branch.num_trials >= min_trials and branch.shares]
    return sorted(large, key=lambda branch: (bool(branch.conditions), -branch.num_trials))


def _conditioning(space: SearchSpace) -> list[Parameter]:
    named = {key for parameter in space.parameters for key in parameter.when or ()}
    return [parameter for parameter in space.parameters if parameter.key in named]


def _shares(trials: Sequence[FrozenTrial], keys: Sequence[str], metric: int, direction: str) -> dict[str, float]:
    known = [trial for trial in trials if all(key in trial.params for key in keys)]
    varied = [key for key in keys if len({repr(trial.params[key]) for trial in known}) > 1]
    if len(known) <= _MIN_TOP or not varied:
        return {}
    study = optuna.create_study(direction=StudyDirection[direction.upper()])
    study.add_trials(
        [
            create_trial(
                value=(trial.values or ())[metric],
                params={key: trial.params[key] for key in varied},
                distributions={key: trial.distributions[key] for key in varied},
            )
            for trial in known
        ]
    )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, _MIN_TOP / len(known))))
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
