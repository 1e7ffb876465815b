from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from sweeps.sampling.early_stop import EarlyStop


def study_of(*outcomes: Any, directions: tuple[str, ...] = ("minimize",)) -> optuna.Study:
    """Trials that ended like this: a value, values, "pruned", "failed", "infeasible" or "running"."""
    study = optuna.create_study(directions=list(directions))
    for outcome in outcomes:
        trial = study.ask()
        if outcome == "pruned":
            study.tell(trial, state=TrialState.PRUNED)
        elif outcome == "failed":
            study.tell(trial, state=TrialState.FAIL)
        elif outcome == "infeasible":
            trial.set_constraint("memory", 1.0)
            study.tell(trial, -100.0)
        elif outcome != "running":
            study.tell(trial, outcome)
    return study


@pytest.mark.parametrize(
    ("outcomes", "stops"),
    [
        ((), False),
        ((3.0, 4.0, 4.0), False),
        ((3.0, 4.0, 4.0, 4.0), True),
        ((3.0, 4.0, 4.0, 2.0), False),
        ((5.0, 3.0, 3.0, 3.0, 3.0), True),
        ((3.0, 3.0, 3.0, 3.0), True),
        ((3.0, "pruned", "pruned", "pruned"), True),
        ((3.0, "failed", "failed", "failed"), False),
        ((3.0, 4.0, 4.0, "running"), False),
        (("pruned", "pruned", "pruned", "pruned"), False),
        ((3.0, 4.0, "infeasible", 4.0), True),
        (("infeasible", 3.0, 4.0, 2.0), False),
    ],
)
def test_a_study_without_a_new_best_in_three_trials_stops(outcomes: tuple[Any, ...], stops: bool) -> None:
    assert EarlyStop(3).is_exhausted(study_of(*outcomes)) == stops
    mirrored = [-value if isinstance(value, float) else value for value in outcomes]
    if "infeasible" not in outcomes:
        assert EarlyStop(3).is_exhausted(study_of(*mirrored, directions=("maximize",))) == stops


def test_a_best_must_be_better_by_what_was_asked_for() -> None:
    study = study_of(1.0, 0.95, 0.9)
    assert not EarlyStop(2, 0.05).is_exhausted(study)
    assert EarlyStop(2, 0.2).is_exhausted(study)


def test_the_front_of_several_metrics_must_grow() -> None:
    directions = ("minimize", "maximize")
    front = [(0.0, 0.0), (1.0, 1.0)]
    assert EarlyStop(2).is_exhausted(study_of(*front, (1.0, 0.0), (0.5, 0.0), directions=directions))
    grown = study_of(*front, (1.0, 0.0), (0.5, 0.9), directions=directions)
    assert not EarlyStop(2).is_exhausted(grown)
    assert EarlyStop(2, 5.0).is_exhausted(grown)


def test_the_order_is_that_in_which_trials_finished() -> None:
    study = optuna.create_study()
    first = study.ask()
    for _ in range(3):
        study.tell(study.ask(), 3.0)
    study.tell(first, 1.0)
    assert not EarlyStop(1).is_exhausted(study)
    assert not EarlyStop(3).is_exhausted(study)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (20, "stop: 20 given, give {patience: 20}"),
        ({"patiense": 3}, "stop.patiense: no such key, did you mean 'patience'?"),
        ({}, "stop.patience: None given"),
        ({"patience": 0}, "stop.patience: 0 given"),
        ({"patience": 3, "min_delta": -1}, "stop.min_delta: -1 given"),
        ({"patience": 3, "min_delta": float("nan")}, "stop.min_delta: nan given"),
    ],
)
def test_what_is_wrong_in_stop_is_said_with_its_key(section: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        EarlyStop.read(section)
    assert message in str(error.value)
