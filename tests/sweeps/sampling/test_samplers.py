from typing import Any

import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, PatientPruner

from lightning_app.errors import UsageError
from sweeps.sampling.component_spec import ComponentSpec
from sweeps.sampling.pruners import PRUNERS, make_pruner
from sweeps.sampling.samplers import SAMPLERS, make_sampler, settle
from sweeps.sampling.trial_sampler import TrialSampler
from sweeps.space.search_space import SearchSpace
from tests.sweeps.samplers import sampler_of

FLOAT = {"type": "float", "low": 0.0, "high": 1.0}
KIND = {"type": "categorical", "choices": ["deep", "flat"]}
NUMBERS = {"x": FLOAT, "y": FLOAT}
MIXED = {"x": FLOAT, "kind": KIND}
CONDITIONAL = {"kind": KIND, "x": {**FLOAT, "when": {"kind": "deep"}}}
FINITE = {"kind": KIND, "depth": {"type": "int", "low": 2, "high": 6, "step": 2, "when": {"kind": "deep"}}}


@pytest.mark.parametrize(
    ("section", "num_metrics", "num_trials", "name", "reason"),
    [
        (FINITE, 1, 4, "grid", "the space has 4 points"),
        (FINITE, 1, 3, "tpe", "conditions"),
        (NUMBERS, 1, 250, "gp", "numbers alone"),
        (NUMBERS, 1, 251, "cmaes", "more than 250 trials"),
        ({"x": FLOAT}, 1, 251, "gp", "numbers alone"),
        (NUMBERS, 2, 20, "tpe", "several metrics"),
        (MIXED, 1, 20, "tpe", "choices"),
        (CONDITIONAL, 1, 20, "tpe", "conditions"),
    ],
)
def test_auto_follows_its_rule(
    section: dict[str, Any], num_metrics: int, num_trials: int, name: str, reason: str
) -> None:
    auto, space = ComponentSpec.read("sampler", "auto", SAMPLERS), SearchSpace.read(section)
    choice, why = settle(auto, space=space, num_metrics=num_metrics, num_trials=num_trials)
    assert choice.name == name
    assert reason in why
    make_sampler(choice, seed=0, space=space, num_metrics=num_metrics)


def test_a_sampler_that_is_named_is_taken() -> None:
    choice = ComponentSpec.read("sampler", "random", SAMPLERS)
    assert settle(choice, space=SearchSpace.read(FINITE), num_metrics=1, num_trials=99) == (choice, "")


def draws(given: Any, section: dict[str, Any], count: int) -> list[dict[str, Any] | None]:
    space = SearchSpace.read(section)
    study = optuna.create_study(sampler=sampler_of(given, space))
    maker = TrialSampler(study, space)
    found = []
    for _ in range(count):
        trial = study.ask()
        drawn = maker.draw(trial)
        found.append(drawn)
        study.tell(trial, sum(value for value in (drawn or {}).values() if isinstance(value, float)))
    return found


def test_a_grid_goes_through_its_points_in_their_order() -> None:
    assert draws("grid", FINITE, 5) == [
        {"kind": "deep", "depth": 2},
        {"kind": "deep", "depth": 4},
        {"kind": "deep", "depth": 6},
        {"kind": "flat"},
        None,
    ]


def test_a_quasi_random_sequence_fills_the_space_evenly() -> None:
    found = draws("qmc", NUMBERS, 16)
    for key in NUMBERS:
        assert sorted(int(16 * point[key]) for point in found if point) == list(range(16))


def test_auto_takes_no_sampler_that_learns_nothing_of_pruned_trials() -> None:
    auto = ComponentSpec.read("sampler", "auto", SAMPLERS)
    space = SearchSpace.read({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    names = [settle(auto, space=space, num_metrics=1, num_trials=20, prunes=prunes)[0].name for prunes in (True, False)]
    assert names == ["tpe", "gp"]


def test_settings_reach_the_sampler() -> None:
    # Without start-up trials by chance, the second draw of TPE is not that of the random sampler.
    random, early = draws("random", NUMBERS, 4), draws({"name": "tpe", "n_startup_trials": 1}, NUMBERS, 4)
    late = draws({"name": "tpe", "n_startup_trials": 4}, NUMBERS, 4)
    assert early[0] == late[0] == random[0]
    assert early[3] != late[3] == random[3]


def test_cmaes_comes_closer_to_the_minimum_than_chance() -> None:
    def total(points: list[dict[str, Any] | None]) -> float:
        return sum(sum(point.values()) for point in points[40:] if point)

    assert total(draws("cmaes", NUMBERS, 60)) < 0.5 * total(draws("random", NUMBERS, 60))


def test_cmaes_works_on_one_number_and_beside_choices() -> None:
    assert None not in draws("cmaes", {"x": FLOAT}, 12)
    assert {point["kind"] for point in draws("cmaes", MIXED, 12) if point} == {"deep", "flat"}


@pytest.mark.parametrize(
    ("given", "section", "num_metrics", "message"),
    [
        ("cmaes", CONDITIONAL, 1, "cmaes knows no conditions, and space.x.when has some; take sampler: tpe"),
        ("cmaes", {"kind": KIND}, 1, "cmaes works on numbers"),
        ("cmaes", NUMBERS, 2, "cmaes works on one metric, 2 given"),
        ("grid", NUMBERS, 1, "space.x: a grid needs values that can be counted; give a step, or choices"),
        ("grid", {"n": {"type": "int", "low": 0, "high": 10**6}}, 1, "a grid of more than 100000 points"),
        ({"name": "qmc", "qmc_type": "sobel"}, NUMBERS, 1, "sampler: qmc:"),
        ({"name": "cmaes", "lr_adapt": True, "with_margin": True}, NUMBERS, 1, "sampler: cmaes:"),
    ],
)
def test_a_sampler_that_cannot_work_is_refused(
    given: Any, section: dict[str, Any], num_metrics: int, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        sampler_of(given, SearchSpace.read(section), num_metrics=num_metrics)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tep", "sampler: 'tep' given, did you mean 'tpe'?; allowed: auto, tpe, gp"),
        (3, "sampler: 3 given; allowed"),
        ({"n_startup_trials": 3}, "sampler.name: None given; allowed"),
        (
            {"name": "tpe", "n_startup": 3},
            "sampler.n_startup: tpe has no such setting, did you mean 'n_startup_trials'?",
        ),
        ({"name": "tpe", "n_startup_trials": "3"}, "sampler.n_startup_trials: '3' given, a whole number from 0"),
        ({"name": "tpe", "group": 1}, "sampler.group: 1 given, true or false is needed"),
        ({"name": "nsga2", "crossover_prob": True}, "sampler.crossover_prob: True given, a number is needed"),
        ({"name": "random", "seed": 1}, "sampler.seed: random has no such setting; it has none"),
    ],
)
def test_what_is_wrong_in_a_choice_is_said_with_its_key(given: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        ComponentSpec.read("sampler", given, SAMPLERS)
    assert message in str(error.value)


def test_settings_reach_the_pruner() -> None:
    def pruner(given: Any) -> Any:
        return make_pruner(ComponentSpec.read("pruner", given, PRUNERS))

    assert isinstance(pruner("median"), MedianPruner)
    assert pruner({"name": "median", "n_warmup_steps": 3})._n_warmup_steps == 3
    assert isinstance(pruner({"name": "hyperband", "max_resource": 9}), HyperbandPruner)
    patient = pruner({"name": "patient", "patience": 7, "n_startup_trials": 2})
    assert isinstance(patient, PatientPruner)
    assert (patient._patience, patient._wrapped_pruner._n_startup_trials) == (7, 2)
    with pytest.raises(UsageError, match="pruner.patience: -1 given, a whole number from 0"):
        pruner({"name": "patient", "patience": -1})
