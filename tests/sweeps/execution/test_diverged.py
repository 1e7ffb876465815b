"""Trials that diverge are kept as such, though a fit alone would fail."""

from collections.abc import Callable

import optuna
import pytest

from lightning_app.__main__ import main

SPACE = """
metrics: {val/mse: minimize}
sampler: random
pruner: none
space:
  model.optimizer.lr: {type: categorical, choices: [1.0e+30]}
"""


@pytest.mark.slow
def test_a_trial_that_diverges_is_kept_as_diverged_not_as_failed(
    sweep_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--trials=1", "--workers=1", "--storage=sqlite:///study.db")
    assert main(sweep_args(*options, space=SPACE, fit=("--model.scheduler=null",))) in (0, 1)
    (study,) = optuna.get_all_study_names("sqlite:///study.db")
    trials = optuna.load_study(study_name=study, storage="sqlite:///study.db").trials
    assert [trial.state.name for trial in trials] == ["PRUNED"], capsys.readouterr().err
    assert all("diverged" in trial.user_attrs.values() for trial in trials)
