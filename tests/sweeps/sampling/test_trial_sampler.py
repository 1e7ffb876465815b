import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from sweeps.sampling.trial_sampler import TrialSampler
from sweeps.space.search_space import SearchSpace
from tests.sweeps.samplers import sampler_of

CONDITIONAL = {
    "model.encoder.num_heads": {"type": "int", "low": 1, "high": 8, "when": {"model.encoder": "GAT"}},
    "model.encoder": {"type": "class", "choices": ["GCN", "GAT"]},
    "model.encoder.size": {"type": "int", "low": 8, "high": 64, "step": 8},
    "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "fan_out": {"type": "categorical", "choices": [[15, 10], [5, 5], None]},
}
# 2 * 3 points with depth, 2 without.
SMALL = {
    "depth": {"type": "int", "low": 1, "high": 3, "when": {"kind": "deep"}},
    "kind": {"type": "categorical", "choices": ["deep", "flat"]},
    "rate": {"type": "float", "low": 0.1, "high": 0.25, "step": 0.1},
}

LARGE = {**SMALL, "width": {"type": "int", "low": 1, "high": 4}}
NUMBERS = {key: {"type": "float", "low": 0.0, "high": 1.0} for key in ("x", "y", "z")}


def draws(
    count: int,
    *,
    sampler: str = "tpe",
    seed: int = 0,
    section: dict[str, Any] = CONDITIONAL,
    study: optuna.Study | None = None,
) -> list[dict[str, Any] | None]:
    space = SearchSpace.read(section)
    study = study or optuna.create_study()
    study.sampler = sampler_of(sampler, space, seed=seed)
    draw = TrialSampler(study, space).draw
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(draw(trial))
        study.tell(trial, float(trial.number % 7))
    return found


def test_values_are_within_their_bounds_and_conditions_hold() -> None:
    for drawn in draws(40):
        assert drawn is not None
        assert drawn["model.encoder.size"] in range(8, 65, 8)
        assert 0.001 <= drawn["lr"] <= 0.1
        assert drawn["fan_out"] in ([15, 10], [5, 5], None)
        assert ("model.encoder.num_heads" in drawn) == (drawn["model.encoder"] == "GAT")


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2", "cmaes", "grid", "gp"])
def test_a_study_that_goes_on_draws_what_it_would_have_drawn(sampler: str) -> None:
    section = {"cmaes": NUMBERS, "gp": NUMBERS, "grid": LARGE}.get(sampler, CONDITIONAL)
    count = 13 if sampler == "gp" else 24
    whole = draws(count, sampler=sampler, seed=3, section=section)
    study = optuna.create_study()
    parts = [draws(some, sampler=sampler, seed=3, section=section, study=study) for some in (12, count - 12)]
    assert parts[0] + parts[1] == whole
    assert sampler == "grid" or draws(count, sampler=sampler, seed=4, section=section) != whole


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2", "gp", "grid"])
def test_a_small_space_is_drawn_point_by_point_and_then_is_exhausted(sampler: str) -> None:
    study = optuna.create_study()
    found = draws(8, sampler=sampler, section=SMALL, study=study)
    assert len({json.dumps(point, sort_keys=True) for point in found}) == 8
    assert {point["rate"] for point in found if point} == {0.1, 0.2}
    assert TrialSampler(study, SearchSpace.read(SMALL)).is_exhausted()
    assert draws(1, sampler=sampler, section=SMALL, study=study) == [None]


def test_a_point_that_failed_is_drawn_once_more_and_not_again() -> None:
    space = SearchSpace.read({"size": {"type": "int", "low": 1, "high": 2}})
    study = optuna.create_study(sampler=sampler_of("random", space))
    maker = TrialSampler(study, space)
    found = []
    while not maker.is_exhausted():
        trial = study.ask()
        found.append(maker.draw(trial))
        study.tell(trial, state=TrialState.FAIL)
    assert sorted(point["size"] for point in found if point) == [1, 1, 2, 2]


@pytest.mark.parametrize("kept", [0, 1, 2, 4])
def test_a_trial_that_is_taken_over_keeps_what_was_drawn_for_it(kept: int) -> None:
    space = SearchSpace.read(CONDITIONAL)
    study = optuna.create_study()
    draws(15, study=study)
    trial = study.ask()
    first = list(space.parameters)[:kept]
    before = {parameter.key: trial._suggest(parameter.key, parameter.distribution()) for parameter in first}
    over = optuna.Trial(study, trial._trial_id)
    drawn = TrialSampler(study, space).draw(over)
    assert drawn is not None
    assert {key: study.trials[-1].params[key] for key in before} == before
    assert space.is_whole(drawn)
    assert TrialSampler(study, space).draw(optuna.Trial(study, trial._trial_id)) == drawn


def test_choices_that_a_study_has_drawn_cannot_be_taken_out() -> None:
    study = optuna.create_study()
    draws(8, section=SMALL, study=study)
    changed = {**SMALL, "kind": {"type": "categorical", "choices": ["deep", "wide"]}}
    flat = next(trial.params for trial in study.trials if trial.params.get("kind") == "flat")
    with pytest.raises(UsageError, match="'flat' was drawn before"):
        SearchSpace.read(changed).drawn(flat)


def ask_many(file: Path, ready: Any) -> None:
    study = load(file)
    maker = TrialSampler(study, SearchSpace.read(SMALL))
    ready.wait()
    while not maker.is_exhausted():
        trial = study.ask()
        if maker.draw(trial) is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 1.0)


def load(file: Path) -> optuna.Study:
    sampler = sampler_of("random", SearchSpace.read(SMALL))
    storage = JournalStorage(JournalFileBackend(str(file)))
    return optuna.create_study(storage=storage, study_name="s", sampler=sampler, load_if_exists=True)


def test_hosts_that_draw_at_one_time_do_not_draw_the_same(tmp_path: Path) -> None:
    file = tmp_path / "journal.log"
    load(file)
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(3)
    hosts = [context.Process(target=ask_many, args=(file, ready)) for _ in range(3)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    done = [trial.params for trial in load(file).trials if trial.state == TrialState.COMPLETE]
    assert len(done) == 8
    assert len({json.dumps(point, sort_keys=True) for point in done}) == 8


def test_a_host_that_died_before_it_drew_holds_nobody_up_for_long() -> None:
    study = optuna.create_study()
    draws(1, study=study)
    study.ask()
    maker = TrialSampler(study, SearchSpace.read(CONDITIONAL), patience=0.3)
    start = time.monotonic()
    assert maker.draw(study.ask()) is not None
    assert 0.3 <= time.monotonic() - start < 2
    start = time.monotonic()
    assert maker.draw(study.ask()) is not None
    assert time.monotonic() - start < 0.3
