import optuna

from sweeps.reporting.importance import importances
from tests.sweeps.finished import SPACE, finished_study, suggest


def test_each_branch_credits_what_decides_in_it() -> None:
    whole, *branches = importances(finished_study(240).trials, SPACE, metric=0, direction="maximize")
    assert whole.conditions == {}
    assert "model.encoder.num_heads" not in whole.shares
    titles = {branch.title(): branch for branch in branches}
    assert set(titles) == {"model.encoder = GAT", "model.encoder = GCN"}
    assert next(iter(titles["model.encoder = GAT"].shares)) == "model.encoder.num_heads"
    assert next(iter(titles["model.encoder = GCN"].shares)) == "model.optimizer.lr"
    assert titles["model.encoder = GCN"].shares["model.optimizer.lr"] > 0.5
    assert sum(branch.num_trials for branch in branches) == whole.num_trials


def test_the_direction_turns_what_is_good() -> None:
    low = importances(finished_study(240).trials, SPACE, metric=0, direction="minimize")
    high = importances(finished_study(240).trials, SPACE, metric=0, direction="maximize")
    assert low[0].shares != high[0].shares


def test_branches_with_few_trials_are_left_out() -> None:
    assert importances(finished_study(8).trials, SPACE, metric=0, direction="maximize") == []
    found = importances(finished_study(40).trials, SPACE, metric=0, direction="maximize", min_trials=15)
    assert all(branch.num_trials >= 15 for branch in found)


def test_trials_that_break_a_bound_are_not_judged() -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(24):
        trial = study.ask()
        suggest(trial)
        trial.set_constraint("parameters", 1.0 if number % 2 else -1.0)
        study.tell(trial, float(number))
    assert importances(study.trials, SPACE, metric=0, direction="maximize")[0].num_trials == 12
