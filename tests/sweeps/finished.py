"""Studies as sweeps leave them, of which the result is known beforehand."""

import math
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from sweeps.space.search_space import SearchSpace

SPACE = SearchSpace.read(
    {
        "model.encoder": {"type": "class", "choices": ["models.graph.GCN", "models.graph.GAT"]},
        "model.encoder.num_heads": {"type": "int", "low": 1, "high": 8, "when": {"model.encoder": "models.graph.GAT"}},
        "model.encoder.dropout": {"type": "float", "low": 0.0, "high": 0.8},
        "model.decoder.dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
        "model.optimizer.lr": {"type": "float", "low": 0.0001, "high": 0.1, "log": True},
        "data.fan_out": {"type": "categorical", "choices": [[15, 10], None]},
    }
)


def value_of(drawn: dict[str, Any]) -> float:
    """The number of heads decides where there are heads, the step size where there are none."""
    if "model.encoder.num_heads" in drawn:
        return 0.5 + 0.05 * float(drawn["model.encoder.num_heads"])
    return 0.9 - 0.1 * abs(math.log10(drawn["model.optimizer.lr"]) + 2)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Values of the active parameters, drawn by Optuna's own sampler."""
    drawn: dict[str, Any] = {}
    for parameter in SPACE.parameters:
        if parameter.is_active(drawn):
            drawn[parameter.key] = parameter.value(trial._suggest(parameter.key, parameter.distribution()))
    return drawn


def finished_study(num_trials: int, *, metrics: int = 1, fail_every: int = 10) -> optuna.Study:
    """A study of random draws; each tenth trial failed, each third of the others was pruned where that is possible."""
    rng = np.random.default_rng(0)
    directions = ["maximize", *["minimize"] * (metrics - 1)]
    study = optuna.create_study(
        study_name="planted", directions=directions, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    for number in range(num_trials):
        trial = study.ask()
        value = value_of(suggest(trial)) + 0.001 * float(rng.standard_normal())
        if number % fail_every == fail_every - 1:
            trial.set_user_attr("exit_code", 1)
            study.tell(trial, state=TrialState.FAIL)
        elif metrics > 1:
            study.tell(trial, [value, float(number % 7)])
        elif number % 3 == 2:
            trial.report(value / 2, 0)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            for step in range(4):
                trial.report(value * (step + 1) / 4, step)
            study.tell(trial, value)
    return study
