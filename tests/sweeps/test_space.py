from typing import Any

import optuna
import pytest

from lightning_app.errors import UsageError
from sweeps.samplers import SAMPLERS, make_sampler
from sweeps.space import SearchSpace

CONDITIONAL = {
    "model.encoder.num_heads": {"type": "int", "low": 1, "high": 8, "when": {"model.encoder": "GAT"}},
    "model.encoder": {"type": "class", "choices": ["GCN", "GAT"]},
    "model.encoder.size": {"type": "int", "low": 8, "high": 64, "step": 8},
    "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "fan_out": {"type": "categorical", "choices": [[15, 10], [5, 5], None]},
}


def draws(seed: int, count: int, sampler: str = "tpe", study: optuna.Study | None = None) -> list[dict[str, Any]]:
    space = SearchSpace.read(CONDITIONAL)
    make = make_sampler(sampler, seed=seed, conditional=True, num_metrics=1)
    study = study or optuna.create_study()
    study.sampler = make
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(space.suggest(trial))
        study.tell(trial, float(trial.number))
    return found


def test_values_are_within_their_bounds_and_conditions_hold() -> None:
    for drawn in draws(0, 40):
        assert drawn["model.encoder.size"] in range(8, 65, 8)
        assert 0.001 <= drawn["lr"] <= 0.1
        assert drawn["fan_out"] in ([15, 10], [5, 5], None)
        assert ("model.encoder.num_heads" in drawn) == (drawn["model.encoder"] == "GAT")


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2"])
def test_a_study_that_goes_on_draws_what_it_would_have_drawn(sampler: str) -> None:
    whole = draws(3, 24, sampler)
    study = optuna.create_study()
    assert draws(3, 12, sampler, study) + draws(3, 12, sampler, study) == whole
    assert draws(4, 24, sampler) != whole


def test_auto_takes_a_sampler_that_knows_conditions() -> None:
    assert make_sampler("auto", seed=0, conditional=True, num_metrics=1).make is SAMPLERS["tpe"]
    assert make_sampler("auto", seed=0, conditional=False, num_metrics=1).make is SAMPLERS["gp"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "nothing varies"),
        ({"lr": {"type": "real"}}, "space.lr.type: 'real' given, allowed: float, int, categorical, class"),
        ({"lr": {"type": "float", "low": 1, "high": 0}}, "space.lr: low 1 is above high 0"),
        ({"lr": {"type": "float", "low": 0, "high": 1, "log": True}}, "space.lr.low: 0 given, a logarithm"),
        ({"lr": {"type": "float", "low": "1e-3", "high": 1}}, "write 1.0e-3"),
        (
            {"lr": {"type": "float", "low": 0, "high": 1, "choices": [1]}},
            "space.lr.choices: a float has no such option",
        ),
        ({"n": {"type": "int", "low": 0.5, "high": 2}}, "space.n.low: 0.5 given, int is needed"),
        ({"n": {"type": "categorical", "choices": []}}, "at least one value is needed"),
        ({"n": {"type": "int", "low": 1, "high": 2, "when": {"m": 1}}}, "space.n.when.m: nothing varies there"),
        (
            {
                "n": {"type": "int", "low": 1, "high": 2, "when": {"m": "c"}},
                "m": {"type": "categorical", "choices": ["a", "b"]},
            },
            "'c' is none of its choices",
        ),
        (
            {
                "n": {"type": "categorical", "choices": [1], "when": {"m": 1}},
                "m": {"type": "categorical", "choices": [1], "when": {"n": 1}},
            },
            "conditions go in a circle",
        ),
    ],
)
def test_what_is_wrong_in_a_space_is_said_with_its_key(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        SearchSpace.read(section)
    assert message in str(error.value)
