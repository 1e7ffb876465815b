"""A trial of two ranks: both hear the same answer, stop together and leave nothing behind."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from lightning_app.__main__ import main

SPACE = """
metrics: {val/mse: minimize}
sampler: random
pruner: median
space:
  model.network.hidden_size: {type: categorical, choices: [4, 8]}
  model.optimizer.lr: {type: float, low: 0.0005, high: 0.02, log: true}
"""


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """A study with five trials of which none can be reached, so that the pruner stops the next ones at once."""
    folder = tmp_path / "runs" / "sweeps" / "ranks"
    folder.mkdir(parents=True)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(study_name="ranks", storage=storage, direction="minimize")
    distributions = {
        "model.network.hidden_size": CategoricalDistribution([4, 8]),
        "model.optimizer.lr": FloatDistribution(0.0005, 0.02, log=True),
    }
    for index in range(5):
        params = {"model.network.hidden_size": 4, "model.optimizer.lr": 0.001 * (index + 1)}
        study.add_trial(
            create_trial(value=0.0, params=params, distributions=distributions, intermediate_values={0: 0.0})
        )
    return study


@pytest.mark.slow
def test_two_ranks_of_a_trial_are_pruned_together(
    fit_args: Callable[..., list[str]], study: optuna.Study, tmp_path: Path
) -> None:
    space = tmp_path / "ranks.yaml"
    space.write_text(SPACE)
    _, config, path, *_ = fit_args()
    ranks = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "30")
    options = ("--trials", "6", "--resume", "--root", str(tmp_path / "runs"))
    assert main(["sweep", config, path, "--space", str(space), *options, "--", *ranks]) == 0

    trial = study.trials[5]
    log = (tmp_path / "runs/sweeps/ranks/logs/trial-00005.log").read_text()
    assert trial.state == TrialState.PRUNED, log
    assert "MEMBER: 2/2" in log
    assert list(trial.intermediate_values) == [0]
    (history,) = (tmp_path / "runs/sweeps/ranks/trials/trial-00005").glob("*/metrics.csv")
    assert history.exists()
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout
    assert not left, left
