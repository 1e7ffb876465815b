"""Several seeds per trial, and the choice of the best on seeds that the search has not seen."""

import os
import signal
import statistics
from collections.abc import Callable
from pathlib import Path

import optuna
import polars as pl
import pytest
from optuna.trial import TrialState

from lightning_app.__main__ import main
from sweeps.execution.running_trial import RunningTrial
from sweeps.reporting.outcome import Fits
from sweeps.sampling.trial_seeds import TrialSeeds
from sweeps.storage.study_storage import open_storage
from tests.postgres import needs_postgres
from tests.sweeps.execution.test_hosts import started, wait_for

SPACE = """
metrics: {val/mse: minimize}
sampler: grid
pruner: none
OPTIONS
space:
  model.optimizer.lr: {type: categorical, choices: CHOICES}
"""
FIT = ("--trainer.max_epochs", "1")


def space(options: str, choices: str = "[0.02, 0.005]") -> str:
    return SPACE.replace("OPTIONS", options).replace("CHOICES", choices)


def validated(folder: Path) -> float:
    """The best validation value of the one run below a folder."""
    (path,) = folder.glob("*/metrics.csv")
    return float(pl.read_csv(path)["val/mse"].drop_nulls().min())  # type: ignore[arg-type]


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=open_storage(None, folder))  # there is no other


@pytest.mark.slow
def test_the_best_is_chosen_by_seeds_that_no_trial_has_seen_and_everything_says_so(
    sweep_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = {"space": space("seeds_per_trial: 2\nreevaluate: {top: 1, seeds: 2}"), "fit": FIT}
    assert main(sweep_args("--trials", "2", "--workers", "2", **args)) == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    trials, runs = study_in(folder).trials, folder / "trials"
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    for trial in trials:
        values = [validated(runs / f"trial-{trial.number:05d}{suffix}") for suffix in ("", "-seed-4")]
        assert trial.value == pytest.approx(statistics.fmean(values), rel=1e-6)
        assert len(set(values)) == 2
        assert list(trial.intermediate_values) == [0]  # of the first seed alone
        assert trial.intermediate_values[0] == pytest.approx(values[0], rel=1e-6)
    best = min(trials, key=lambda trial: trial.value or 0.0)
    fresh = {
        name: [validated(runs / f"{name}-seed-{seed}") for seed in (5, 6)]
        for name in ("base", f"trial-{best.number:05d}")
    }
    chosen = min(fresh, key=lambda name: statistics.fmean(fresh[name]))
    mean, deviation = statistics.fmean(fresh[chosen]), statistics.stdev(fresh[chosen])
    assert len(list(runs.iterdir())) == 8
    name = "base config" if chosen == "base" else f"trial {best.number}"
    value = f"val/mse {mean:.6g} ± {deviation:.2g} (2 seeds)"
    head, *_ = (folder / "best.yaml").read_text().splitlines()
    report = (folder / "report.md").read_text()
    for text in (head[2:].replace("Base", "base").replace("Trial", "trial"), report, printed):
        assert f"{name}" in text
        assert f"{value}" in text
        assert "the mean of 2 fresh seeds (5 to 6)" in text
    assert "| re-evaluation | the best 1 and the base config, seeds 5 to 6 |" in report
    assert f"re-evaluation of trial {best.number} complete" in printed
    table = pl.read_parquet(folder / "trials.parquet")
    assert table["num_seeds"].to_list() == [2, 2]
    row = table.row(best.number, named=True)
    assert row["reevaluated.mean"] == pytest.approx(statistics.fmean(fresh[f"trial-{best.number:05d}"]))
    assert row["val/mse.std"] > 0


@pytest.mark.slow
def test_a_config_that_no_trial_beats_on_fresh_seeds_stays_the_best(
    sweep_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    options = space("reevaluate: {top: 1, seeds: 1}", "[1.0e-8]")  # nothing is learned with it
    assert main(sweep_args("--trials", "1", "--workers", "2", space=options, fit=FIT)) == 0
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    text = (folder / "best.yaml").read_text()
    assert text.startswith("# Base config of small_space: val/mse ")
    assert "where no trial was better" in text
    assert "The base config as it is: no trial was better on fresh seeds." in (folder / "report.md").read_text()
    again = ["--run.root", str(tmp_path / "again"), "--seed_everything", "4"]
    assert main(["fit", "-c", str(folder / "best.yaml"), *again]) == 0
    assert validated(tmp_path / "again" / "small") == validated(folder / "trials" / "base-seed-4")


@pytest.mark.parametrize(
    ("options", "fit", "message"),
    [
        ("seeds_per_trial: 0", (), "seeds_per_trial: 0 given, a whole number from 1 on is needed"),
        ("reevaluate: {tops: 3}", (), "reevaluate.tops: no such key, did you mean 'top'?"),
        ("reevaluate: {seeds: 0}", (), "reevaluate.seeds: 0 given"),
        ("seed_keys: data.split", (), "seed_keys: 'data.split' given, a list of keys"),
        pytest.param(
            "seed_keys: [data.split.seed]",
            (),
            "seed_keys: data.split.seed is given, but every trial is one fit; add seeds_per_trial or reevaluate",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "reevaluate: true",
            ("--seed_everything", "true"),
            "seed_everything: True in the config",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "seeds_per_trial: 2\nseed_keys: [data.batch_siz]",
            (),
            "seed_keys: data.batch_siz: no value in the config, a whole number is needed",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_repeated_is_said_in_one_line(
    options: str,
    fit: tuple[str, ...],
    message: str,
    sweep_args: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(sweep_args("--trials", "1", space=space(options), fit=fit)) == 2
    assert message in capsys.readouterr().err


def test_several_metrics_have_no_single_best_to_re_evaluate(
    sweep_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    several = space("reevaluate: true").replace("minimize}", "minimize, val/mae: minimize}")
    assert main(sweep_args("--trials", "1", space=several)) == 2
    assert "reevaluate: of several metrics there is a front and no single best" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_killed_between_seeds_and_in_its_re_evaluation_comes_out_as_in_peace(
    sweep_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--trials", "1", "--workers", "2", "--lease", "600")  # nobody waits for the end of a lease
    args = {
        "space": space("seeds_per_trial: 2\nreevaluate: {top: 1, seeds: 2}"),
        "fit": ("--trainer.max_epochs", "20"),
    }
    folder = tmp_path / "runs" / "sweeps" / "small_space"
    resume: tuple[str, ...] = ()
    for place in ("trial-00000-seed-4", "base-seed-6"):
        with started(sweep_args(*options, *resume, **args), tmp_path / "log") as command:
            wait_for(lambda place=place: list(folder.glob(f"trials/{place}/*/checkpoints/last.ckpt")))  # type: ignore[misc]
            os.kill(command.pid, signal.SIGKILL)
            command.wait(timeout=100)
        resume = ("--resume",)
    assert main(sweep_args(*options, "--resume", **args)) == 0
    assert main(sweep_args(*options, "--root", str(tmp_path / "peace"), **args)) == 0
    disturbed, peace = study_in(folder), study_in(tmp_path / "peace" / "sweeps" / "small_space")
    assert disturbed.trials[0].values == peace.trials[0].values
    assert disturbed.user_attrs["reevaluated"] == peace.user_attrs["reevaluated"]
    # What is evaluated already is not evaluated again.
    capsys.readouterr()
    assert main(sweep_args(*options, "--resume", **args)) == 0
    assert "re-evaluation of" not in capsys.readouterr().out


@pytest.mark.slow
def test_more_seeds_later_fit_only_the_new_ones_and_none_that_the_search_had(
    sweep_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    runs = tmp_path / "runs" / "sweeps" / "small_space" / "trials"

    def reevaluated(options: str, *words: str) -> dict[str, list[str]]:
        assert main(sweep_args("--trials", "1", "--workers", "2", *words, space=space(options), fit=FIT)) == 0
        found = study_in(runs.parent).user_attrs["reevaluated"]
        for candidate in found["candidates"]:
            name = "base" if candidate["number"] < 0 else f"trial-{candidate['number']:05d}"
            values = [validated(runs / f"{name}-seed-{seed}") for seed in found["seeds"]]
            assert candidate["values"] == pytest.approx(values, rel=1e-6)
        return {seed: sorted(path.name for path in runs.glob(f"*-seed-{seed}/*")) for seed in map(str, found["seeds"])}

    two = reevaluated("seeds_per_trial: 2\nreevaluate: {top: 1, seeds: 2}")
    three = reevaluated("seeds_per_trial: 2\nreevaluate: {top: 1, seeds: 3}", "--resume")
    assert list(three) == ["5", "6", "7"]
    assert {seed: three[seed] for seed in two} == two
    # Seed 4 was one of the search, whose trials now have one seed.
    assert list(reevaluated("reevaluate: {top: 1, seeds: 1}", "--resume")) == ["5"]


def test_fits_of_a_trial_count_for_one_with_other_seeds_up_to_the_first_that_has_not_ended() -> None:
    fits = Fits([4, 5, 6], [[1.0], [2.0]], present=[3.0], step=7)
    assert fits.of_seeds([5, 6, 7]) == Fits([5, 6, 7], [[2.0]], present=[3.0], step=7)
    assert fits.of_seeds([5]) == Fits([5], [[2.0]])
    assert fits.of_seeds([7, 4]) == Fits([7, 4], [])
    assert Fits([4], [[1.0]]).of_seeds([4, 5]) == Fits([4, 5], [[1.0]])


@pytest.mark.slow
@needs_postgres
@pytest.mark.parametrize("url", ["postgresql", "grpc"], indirect=True)
def test_two_hosts_share_a_re_evaluation_and_choose_the_same(
    url: str, sweep_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    name = f"choice at {url.split(':')[0]}"
    args = {"space": space("reevaluate: {top: 3, seeds: 2}", "[0.02, 0.01, 0.005, 0.002]"), "fit": FIT}
    options = ("--storage", url, "--trials", "4", "--study", name)
    with (
        started(sweep_args(*options, "--root", str(tmp_path / "one"), **args), tmp_path / "one.log") as one,
        started(sweep_args(*options, "--root", str(tmp_path / "two"), **args), tmp_path / "two.log") as two,
    ):
        assert one.wait(timeout=300) == 0, (tmp_path / "one.log").read_text()
        assert two.wait(timeout=60) == 0, (tmp_path / "two.log").read_text()
    folders = [{path.name for path in (tmp_path / host).glob("sweeps/*/trials/*-seed-*")} for host in ("one", "two")]
    assert len(folders[0] | folders[1]) == 8
    assert not folders[0] & folders[1]
    study = optuna.load_study(study_name=name, storage=open_storage(url, tmp_path))
    candidates = study.user_attrs["reevaluated"]["candidates"]
    assert [len(candidate["values"]) for candidate in candidates] == [2] * 4
    logs = [(tmp_path / f"{host}.log").read_text() for host in ("one", "two")]
    chosen = [next(line for line in log.splitlines() if line.startswith("chosen: ")) for log in logs]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("directions", [("minimize",), ("minimize", "maximize")])
def test_a_trial_goes_on_with_the_seed_that_another_coordinator_was_at(directions: tuple[str, ...]) -> None:
    study = optuna.create_study(directions=list(directions))
    seeds = TrialSeeds({"seed_everything": 7, "data.split.seed": 0}, count=3)

    def begun(trial: optuna.Trial) -> RunningTrial:
        running = RunningTrial(trial, directions, 0, {}, seeds, "trial-00000")
        running.remember()
        return running

    def values(*values: float) -> list[float]:
        return list(values[: len(directions)])

    first = begun(study.ask())
    first.report(values(4.0, 1.0), 0, last=True)
    assert first.next_fit()
    first.report(values(1.0, 5.0), 0, last=False)
    first.report(values(2.0, 6.0), 1, last=False)
    taken = begun(optuna.Trial(study, first.trial._trial_id))
    assert (taken.position, taken.step, taken.fit_name) == (2, 1, "trial-00000-seed-8")
    assert seeds.options(1) == ["--seed_everything=8", "--data.split.seed=1"]
    assert taken.next_fit()
    taken.report(values(1.0, 2.0), 0, last=True)
    assert not taken.next_fit()
    lost_before_it_was_told = begun(optuna.Trial(study, first.trial._trial_id))
    assert not lost_before_it_was_told.next_fit()
    for ended in (taken, lost_before_it_was_told):
        assert ended.result() == ([2.0] if len(directions) == 1 else [pytest.approx(7 / 3), 3.0])
    fits = Fits.of(study.trials[0])
    assert fits is not None
    assert fits.seeds == [7, 8, 9]
    assert study.trials[0].intermediate_values == ({0: 4.0} if len(directions) == 1 else {})
