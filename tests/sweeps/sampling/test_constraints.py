from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from sweeps.reporting.ranking import ranked
from sweeps.sampling.constraints import DIVERGED, WHY, read_constraints, violations, write_constraints
from sweeps.sampling.trial_sampler import TrialSampler
from sweeps.space.search_space import SearchSpace
from tests.sweeps.samplers import sampler_of

SQUARE = {key: {"type": "float", "low": 0.0, "high": 1.0} for key in ("width", "rate")}
BOUNDS = {"parameters": 500.0, "latency": 2.0}


def study_with_bounds(
    sampler: str, count: int, directions: tuple[str, ...] = ("minimize",), *, stopped: bool = True
) -> optuna.Study:
    """Wants more than 500 parameters: 1000 per unit of width; trials that break the bound have no value."""
    space = SearchSpace.read(SQUARE)
    made = sampler_of(sampler, space, seed=1, num_metrics=len(directions))
    study = optuna.create_study(directions=list(directions), sampler=made)
    maker = TrialSampler(study, space)
    for _ in range(count):
        trial = study.ask()
        drawn = maker.draw(trial)
        assert drawn is not None
        large = drawn["width"] > 0.5
        found = {"parameters": 1000 * drawn["width"]} | ({} if large and stopped else {"latency": 1.0})
        write_constraints(trial, BOUNDS, found)
        if large and stopped:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            values = [(1 - drawn["width"]) ** 2 + (drawn["rate"] - 0.3) ** 2, drawn["rate"]]
            study.tell(trial, values[: len(directions)])
    return study


@pytest.mark.parametrize(
    ("sampler", "directions"),
    [
        ("tpe", ("minimize",)),
        ("gp", ("minimize",)),
        ("nsga2", ("minimize",)),
        ("cmaes", ("minimize",)),
        ("tpe", ("minimize", "minimize")),
        pytest.param("gp", ("minimize", "minimize"), marks=pytest.mark.slow),
        ("nsga2", ("minimize", "minimize")),
    ],
)
@pytest.mark.parametrize("stopped", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_samplers_keep_away_from_broken_bounds(sampler: str, directions: tuple[str, ...], stopped: bool) -> None:
    count = 16 if sampler == "gp" else 100
    later = study_with_bounds(sampler, count, directions, stopped=stopped).trials[count // 2 :]
    # Nearly half of the square is that far beyond the bound, and the metric pulls there.
    assert sum(trial.constraints["parameters"] > 0.1 for trial in later) < 0.3 * len(later)


@pytest.mark.parametrize("sampler", ["gp", "nsga2", "cmaes"])
def test_samplers_keep_away_from_where_trials_diverge(sampler: str) -> None:
    space = SearchSpace.read(SQUARE)
    study = optuna.create_study(sampler=sampler_of(sampler, space, seed=1, num_metrics=1))
    draws, count = TrialSampler(study, space), 20 if sampler == "gp" else 100
    for _ in range(count):
        trial = study.ask()
        drawn = draws.draw(trial)
        assert drawn is not None
        if drawn["width"] > 0.5:  # where the metric pulls
            trial.set_user_attr(WHY, DIVERGED)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, (1 - drawn["width"]) ** 2 + (drawn["rate"] - 0.3) ** 2)
    later = study.trials[count // 2 :]
    assert sum(trial.state == TrialState.PRUNED for trial in later) < 0.4 * len(later)


def test_infeasible_trials_are_never_best() -> None:
    study = study_with_bounds("random", 30, stopped=False)
    assert study.trials[min(range(30), key=lambda number: study.trials[number].value or 0)].params["width"] > 0.5
    found = ranked(study, {"loss": "minimize"})
    assert len(found) == sum(trial.params["width"] <= 0.5 for trial in study.trials)
    two = study_with_bounds("random", 30, ("minimize", "minimize"), stopped=False)
    front = ranked(two, {"loss": "minimize", "rate": "minimize"})
    assert front
    assert all(trial.params["width"] <= 0.5 for trial in front)


def test_a_study_without_a_feasible_trial_has_no_best() -> None:
    study = optuna.create_study()
    trial = study.ask()
    write_constraints(trial, {"memory": 1.0}, {"memory": 8.0})
    study.tell(trial, 0.0)
    assert ranked(study, {"loss": "minimize"}) == []


def test_a_trial_that_is_started_again_keeps_what_was_written() -> None:
    study = optuna.create_study()
    trial = study.ask()
    write_constraints(trial, BOUNDS, {"parameters": 1000.0})
    write_constraints(trial, BOUNDS, {"parameters": 2000.0, "latency": 1.0})
    assert study.trials[0].constraints == {"parameters": 1.0, "latency": -1.0}


def test_violations_count_doublings_of_what_was_measured() -> None:
    assert violations({"parameters": 100, "memory": 8}, {"parameters": 400, "latency": 3, "memory": 8}) == {
        "parameters": 2.0,
        "memory": 0.0,
    }
    assert violations({"memory": 8}, {"memory": 0.0})["memory"] < 0


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([1], "constraints: [1] given"),
        ({"parameter": 3}, "constraints.parameter: nothing that is measured, did you mean 'parameters'?"),
        ({"latency": 0}, "constraints.latency: 0 given, more than 0 is needed (ms"),
        ({"memory": True}, "constraints.memory: True given"),
        ({"memory": float("nan")}, "constraints.memory: nan given"),
    ],
)
def test_what_is_wrong_in_constraints_is_said(section: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_constraints(section)
    assert message in str(error.value)
