import math

import optuna
import pytest

from sweeps.execution.running_trial import REPORTED, RunningTrial


def running(study: optuna.Study, *directions: str) -> RunningTrial:
    return RunningTrial(study.ask(), directions or ("minimize",), 0, {})


def test_the_best_validation_counts_and_each_is_reported_once() -> None:
    study = optuna.create_study()
    trial = running(study)
    for step, value in enumerate([3.0, 1.0, 2.0]):
        trial.report([value], step, last=step == 2)
    trial.report([1.0], 1, last=False)  # again, after it was taken up at an older checkpoint
    assert trial.values() == [1.0]
    assert study.trials[0].intermediate_values == {0: 3.0, 1: 1.0, 2: 2.0}


def test_what_was_reported_is_taken_up_by_another_coordinator() -> None:
    study = optuna.create_study(direction="maximize")
    first = running(study, "maximize")
    first.report([0.5], 0, last=False)
    first.report([0.25], 1, last=False)
    second = RunningTrial(optuna.Trial(study, first.trial._trial_id), ("maximize",), 0, {})
    second.remember()
    assert (second.values(), second.step, second.furthest) == ([0.5], 1, 1)


def test_of_several_metrics_the_last_values_and_their_step_are_taken_up() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    first = running(study, "minimize", "minimize")
    first.report([1.0, 2.0], 0, last=False)
    first.report([3.0, 4.0], 1, last=False)
    second = RunningTrial(optuna.Trial(study, first.trial._trial_id), ("minimize", "minimize"), 0, {})
    second.remember()
    assert (second.values(), second.step) == ([3.0, 4.0], 1)
    assert study.trials[0].user_attrs[REPORTED]["step"] == 1


@pytest.mark.parametrize("directions", [("minimize",), ("minimize", "maximize")])
def test_a_metric_that_is_no_number_stops_a_trial(directions: tuple[str, ...]) -> None:
    study = optuna.create_study(directions=list(directions))
    trial = running(study, *directions)
    trial.report([math.nan] * len(directions), 0, last=True)
    assert trial.pruned_by == "diverged"


def test_kills_are_counted_anew_when_a_start_got_further() -> None:
    trial = running(optuna.create_study())
    assert [trial.count_kill(), trial.count_kill()] == [1, 2]
    trial.report([1.0], 0, last=False)
    assert [trial.count_kill(), trial.count_kill()] == [1, 2]
