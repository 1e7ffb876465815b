"""Trials that somebody enqueued with `Study.enqueue_trial`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from lightning_app.__main__ import main
from sweeps.sampling.enqueued import TrialRefused
from sweeps.sampling.trial_sampler import TrialSampler
from sweeps.space.search_space import SearchSpace
from sweeps.storage.study_storage import open_storage
from tests.sweeps.samplers import sampler_of

SPACE = {
    "kind": {"type": "categorical", "choices": ["deep", "flat", [2, 3]]},
    "depth": {"type": "int", "low": 2, "high": 8, "step": 2, "when": {"kind": "deep"}},
    "rate": {"type": "float", "low": 0.1, "high": 0.5, "step": 0.1},
    "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
}


def drawn(params: dict[str, Any]) -> tuple[dict[str, Any] | None, optuna.Study]:
    space = SearchSpace.read(SPACE)
    study = optuna.create_study(sampler=sampler_of("tpe", space))
    study.enqueue_trial(params)
    return TrialSampler(study, space).draw(study.ask()), study


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "deep", "depth": 6, "rate": 0.3, "lr": 0.0123456789},
        {"kind": "flat", "rate": 0.1, "lr": 0.1},
        {"kind": [2, 3], "lr": 0.001},
        {"rate": 0.2},
        {"kind": "deep", "depth": 8.0},
    ],
)
def test_an_enqueued_trial_runs_with_exactly_its_values_and_the_sampler_draws_the_rest(params: dict[str, Any]) -> None:
    found, study = drawn(params)
    assert found is not None
    assert {key: found[key] for key in params} == params
    assert SearchSpace.read(SPACE).is_whole(found)
    assert set(study.trials[0].params) == set(found)
    assert study.trials[0].params["rate"] == found["rate"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"lrr": 0.01}, "lrr 0.01, which does not vary, did you mean 'lr'?; what varies: kind, rate, lr, depth"),
        ({"lr": 0.5}, "lr 0.5, which is outside its bounds 0.001 to 0.1"),
        ({"lr": "0.01"}, "lr '0.01', which is no number"),
        ({"rate": 0.25}, "rate 0.25, which is between two values of its step 0.1"),
        ({"kind": "flot"}, "kind 'flot', which is none of its choices, did you mean 'flat'?"),
        ({"kind": "flat", "depth": 4}, "depth 4, which is there only where kind is 'deep', and not 'flat'"),
        ({"depth": 4}, "depth 4, which is there only where kind is 'deep': enqueue that value too"),
        ({"kind": "deep", "depth": 3}, "depth 3, which is between two values of its step 2"),
    ],
)
def test_an_enqueued_trial_that_the_space_does_not_have_is_refused_with_a_reason(
    params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TrialRefused) as refused:
        drawn(params)
    assert reason in str(refused.value)


@pytest.mark.slow
def test_a_sweep_fits_enqueued_trials_as_they_are_and_says_which_it_refused_or_left(
    sweep_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"journal://{tmp_path}/mine.log"
    study = optuna.create_study(storage=open_storage(url, tmp_path), study_name="small_space")
    study.enqueue_trial({"model.network.hidden_size": 5})
    for rate in (0.0123, 0.0123, 0.0007):  # twice the same is what was asked for
        study.enqueue_trial({"model.network.hidden_size": 8, "model.optimizer.lr": rate})
    assert main(sweep_args("--storage", url, "--trials", "3", fit=("--trainer.max_epochs", "1"))) == 0
    printed = capsys.readouterr()
    assert "trial 0 was refused: enqueued with model.network.hidden_size 5, which is none of its choices" in printed.err
    assert "1 enqueued trial waits: --trials 3 are done; raise --trials and add --resume" in printed.err
    states = [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE, TrialState.WAITING]
    assert [trial.state for trial in study.trials] == states
    for number in (1, 2):
        (path,) = (tmp_path / "runs").glob(f"sweeps/small_space/trials/trial-{number:05d}/*/config.yaml")
        model = yaml.safe_load(path.read_text())["model"]["init_args"]
        assert model["optimizer"]["init_args"]["lr"] == 0.0123
        assert model["network"]["init_args"]["hidden_size"] == 8
        assert study.trials[number].params["model.optimizer.lr"] == 0.0123
