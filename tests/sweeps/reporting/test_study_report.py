from pathlib import Path
from typing import Any

import matplotlib.image
import optuna
import polars as pl
import pytest
import torch
from optuna.trial import TrialState

from sweeps.reporting.axes import axis_limits
from sweeps.reporting.parallel_coordinates import draw_parallel_coordinates
from sweeps.reporting.pictures import draw_curves
from sweeps.reporting.ranking import best_so_far, ranked
from sweeps.reporting.study_report import Search, report
from sweeps.reporting.trial_table import trial_table
from sweeps.space.search_space import SearchSpace
from tests.sweeps.finished import SPACE, finished_study, suggest

BASE = {
    "model": {
        "init_args": {
            "encoder": {"class_path": "models.graph.GCN", "init_args": {"dropout": 0.5}},
            "optimizer": {"init_args": {"lr": 0.01}},
        }
    }
}
ONE = Search(SPACE, {"val/accuracy": "maximize"}, {"sampler": "tpe"}, BASE)
TWO = Search(SPACE, {"val/accuracy": "maximize", "val/cost": "minimize"})


def test_a_report_says_what_was_found_how_and_what_failed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "trial-00009.log").write_text("Traceback\nerror: RuntimeError: out | of memory\nafterwards\n")
    (tmp_path / "best.yaml").write_text("")
    study = finished_study(60)
    text = report(study, ONE, tmp_path).path.read_text()
    best = study.best_trial
    assert "Trials: 36 complete, 6 fail, 18 pruned." in text
    assert f"Best: trial {best.number}, val/accuracy {best.value:.6g} (maximize)." in text
    assert f"| `model.encoder.dropout` | 0.5 | {best.params['model.encoder.dropout']:.4g} |" in text
    assert f"| `model.encoder` | GCN | {best.params['model.encoder'].rsplit('.', 1)[-1]} |" in text
    assert f"lightning-app fit -c {tmp_path / 'best.yaml'}" in text
    assert "| 9 | 1 | `error: RuntimeError: out \\| of memory` |" in text
    assert "| 19 | 1 | `nothing was printed` |" in text
    assert "| `model.encoder.num_heads` | 1 to 8, where `model.encoder` is GAT |" in text
    assert "| sampler | tpe |" in text
    assert "model.encoder = GAT" in text


@pytest.mark.usefixtures("rendered")
def test_every_picture_is_drawn_and_in_the_report(tmp_path: Path) -> None:
    written = report(finished_study(60), ONE, tmp_path)
    assert set(written.pictures) == {"History", "Importances", "Parallel coordinates", "Slices", "Curves"}
    for picture in written.pictures.values():
        pixels = matplotlib.image.imread(picture)
        assert min(pixels.shape[:2]) > 200
        assert pixels.std() > 0.05  # not an empty sheet
        assert f"(pictures/{picture.name})" in written.path.read_text()
    assert not list(tmp_path.rglob(".*.*"))


@pytest.mark.slow
def test_several_metrics_have_a_pareto_front_of_which_each_trial_can_be_fitted_again(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "sweeps" / "planted"
    study = finished_study(40, metrics=2)
    runs = {trial.number: run_folder(folder, trial.number) for trial in study.best_trials}
    written = report(study, TWO, folder)
    assert {"Pareto front", "Importances of val/cost", "Slices of val/accuracy"} <= set(written.pictures)
    text = written.path.read_text()
    assert f"The Pareto front has {len(study.best_trials)} trials." in text
    front = [trial.number for trial in ranked(study, TWO.metrics)]
    assert set(front) == set(runs)
    assert all(f"| `{run.relative_to(folder)}/config.yaml` |" in text for run in runs.values())
    again = f"--run.root {tmp_path / 'runs'} --run.name planted-trial-{front[0]:05d}"
    assert f"lightning-app fit -c {runs[front[0]]}/config.yaml {again}\n" in text


@pytest.mark.parametrize("num_trials", [0, 1, 2])
def test_a_study_that_hardly_began_has_a_report(num_trials: int, tmp_path: Path) -> None:
    study = finished_study(num_trials)
    study.ask()  # still running
    written = report(study, ONE, tmp_path)
    assert "1 running" in written.path.read_text()
    assert pl.read_parquet(tmp_path / "trials.parquet").height == num_trials + 1


def test_the_table_has_a_row_per_trial_and_a_typed_column_per_parameter(tmp_path: Path) -> None:
    study = finished_study(30)
    report(study, ONE, tmp_path)
    table = pl.read_parquet(tmp_path / "trials.parquet")
    assert table["number"].to_list() == list(range(30))
    assert table["state"].value_counts().sort("state")["count"].to_list() == [18, 3, 9]
    assert table.schema["model.encoder.num_heads"] == pl.Int64
    assert table.schema["val/accuracy"] == pl.Float64
    with_heads = [("model.encoder.num_heads" in trial.params) for trial in study.trials]
    assert table["model.encoder.num_heads"].is_not_null().to_list() == with_heads
    assert set(table["data.fan_out"]) == {"[15, 10]", None}
    assert table.filter(pl.col("state") == "fail")["exit_code"].to_list() == [1, 1, 1]


def test_trials_that_break_a_bound_are_never_best(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for number, excess in enumerate((-1.0, 5.0, -1.0)):
        trial = study.ask()
        suggest(trial)
        trial.set_constraint("parameters", excess)
        study.tell(trial, float(number % 2))
    assert [trial.number for trial in ranked(study, ONE.metrics)] == [0, 2]
    assert best_so_far(study.trials, "maximize") == [0.0, 0.0, 0.0]
    assert "1 of the complete ones break a bound" in report(study, ONE, tmp_path).path.read_text()
    table = pl.read_parquet(tmp_path / "trials.parquet")
    assert table["feasible"].to_list() == [True, False, True]
    assert table["excess.parameters"].to_list() == [-1.0, 5.0, -1.0]
    assert study.trials[1].state == TrialState.COMPLETE


def test_one_trial_that_went_astray_does_not_squeeze_the_others() -> None:
    low, high = axis_limits([1.0, 1.1, 1.2, 1.3, 1e9, float("nan")], "minimize")
    assert 0.9 < low < 1.0
    assert 1.3 < high < 3
    assert axis_limits([], "minimize") == (0.0, 1.0)
    assert axis_limits([2.0], "maximize")[0] < 2.0 < axis_limits([2.0], "maximize")[1]


def run_folder(folder: Path, number: int) -> Path:
    path = folder / "trials" / f"trial-{number:05d}" / "20260101-000000-0000"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("")
    return path


def test_causes_of_ends_are_counted_and_stand_in_the_table(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for cause in ("bound: parameters", "pruner", "bound: parameters", "diverged", "surplus"):
        trial = study.ask()
        suggest(trial)
        trial.report(0.5, 0)
        trial.set_user_attr("why", cause)
        study.tell(trial, state=TrialState.FAIL if cause == "surplus" else TrialState.PRUNED)
    text = report(study, ONE, tmp_path).path.read_text()
    assert "4 pruned: 2 broke the bound on parameters, 1 by the pruner, 1 diverged." in text
    assert "1 fail: 1 surplus." in text
    assert "| 4 |  | surplus |  |" in text
    table = pl.read_parquet(tmp_path / "trials.parquet")
    assert table["why"].to_list()[1:] == ["by the pruner", "broke the bound on parameters", "diverged", "surplus"]


def test_only_complete_trials_have_values(tmp_path: Path) -> None:
    study = finished_study(30)
    assert any(trial.value is not None for trial in study.trials if trial.state == TrialState.PRUNED)
    table = trial_table(study.trials, space=SPACE, metrics=["val/accuracy"], folder=tmp_path)
    assert (table["val/accuracy"].is_not_null() == (table["state"] == "complete")).all()


def test_a_study_in_which_every_trial_breaks_a_bound_is_said_to_be_complete(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for _ in range(3):
        trial = study.ask()
        suggest(trial)
        trial.set_constraint("latency", 1.0)
        study.tell(trial, 1.0)
    text = report(study, ONE, tmp_path).path.read_text()
    assert "3 of the complete ones break a bound" in text
    assert "No complete trial keeps within its bounds." in text
    assert "No trial is complete" not in text


def test_what_trials_needed_and_how_long_they_ran_is_written_down(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    suggest(trial)
    trial.set_user_attr("measured", {"parameters": 12345.0, "latency": 1.25, "memory": 30.0})
    trial.set_user_attr("seconds", 90.0)
    study.tell(trial, 0.5)
    text = report(study, ONE, tmp_path).path.read_text()
    assert "| parameters | latency [ms] | memory [MiB] |" in text
    assert "| 12,345 | 1.25 | 30 |" in text
    assert "trials ran for 1 min 30 s" in text
    (row,) = pl.read_parquet(tmp_path / "trials.parquet").to_dicts()
    assert (row["measured.parameters"], row["measured.latency"], row["duration"]) == (12345.0, 1.25, 90.0)
    assert "seconds" not in row


@pytest.mark.parametrize("monitor", ["val/accuracy", "val/loss"])
def test_a_checkpoint_is_to_be_tested_only_where_it_has_the_value_that_counts(monitor: str, tmp_path: Path) -> None:
    study = finished_study(6)
    run = run_folder(tmp_path, study.best_trial.number)
    (run / "checkpoints").mkdir()
    score = torch.tensor(study.best_value if monitor in ONE.metrics else 0.25, dtype=torch.float64)
    callbacks = {"best": {"monitor": monitor, "best_model_score": score}, "last": {}}
    torch.save({"callbacks": callbacks}, run / "checkpoints" / "best.ckpt")
    text = report(study, ONE, tmp_path).path.read_text()
    assert f"Its run is `{run}`, its value that of validation 3, the first being 0; " in text
    holds = monitor in ONE.metrics
    assert (f"lightning-app test --ckpt_path {run}/checkpoints/best.ckpt" in text) == holds
    assert ("`best.ckpt` is not of that one, it has the best val/loss 0.25." in text) != holds


def test_a_checkpoint_by_another_metric_that_is_of_the_best_validation_is_to_be_tested(tmp_path: Path) -> None:
    study = finished_study(6)
    run = run_folder(tmp_path, study.best_trial.number)
    (run / "checkpoints").mkdir()
    (run / "metrics.csv").write_text(f"step,val/accuracy,val/loss\n5,0.1,0.5\n11,{study.best_value!r},0.25\n")
    callbacks = {"best": {"monitor": "val/loss", "best_model_score": torch.tensor(0.25)}}
    for batches, is_tested in ((12, True), (6, False)):
        loops = {"fit_loop": {"epoch_loop.state_dict": {"_batches_that_stepped": batches}}}
        torch.save({"callbacks": callbacks, "loops": loops}, run / "checkpoints" / "best.ckpt")
        text = report(study, ONE, tmp_path).path.read_text()
        assert (f"lightning-app test --ckpt_path {run}/checkpoints/best.ckpt" in text) == is_tested
        assert ("`best.ckpt` is not of that one" in text) != is_tested


@pytest.mark.usefixtures("rendered")
def test_of_a_pruned_trial_that_ties_with_the_best_the_curve_is_not_the_best_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study(direction="maximize")
    for state in (TrialState.PRUNED, TrialState.COMPLETE):
        trial = study.ask()
        suggest(trial)
        for step in range(3):
            trial.report(0.5, step)
        study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    drawn = []
    monkeypatch.setattr("sweeps.reporting.pictures.save", lambda figure, path: drawn.append(figure) or path)
    draw_curves(study.trials, metric="val/accuracy", direction="maximize", path=tmp_path / "curves.png")
    colors = {line.get_label(): line.get_color() for line in drawn[0].axes[0].lines if line.get_label()[0] != "_"}
    assert colors == {"pruned": "tab:orange", "best": "tab:green"}


@pytest.mark.usefixtures("rendered")
def test_of_many_parameters_the_most_important_have_an_axis_and_long_names_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = ["relu", "gelu_with_tanh_approximation"]
    section: dict[str, Any] = {f"model.size_{index}": {"type": "int", "low": 1, "high": 9} for index in range(10)}
    section["model.lr"] = {"type": "float", "low": 1.0e-5, "high": 0.1, "log": True}
    section["model.activation"] = {"type": "categorical", "choices": choices}
    space = SearchSpace.read(section)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(90):
        trial = study.ask()
        drawn = [trial._suggest(parameter.key, parameter.distribution()) for parameter in space.parameters]
        study.tell(trial, float(drawn[0]))
    figures: list[Any] = []
    monkeypatch.setattr(
        "sweeps.reporting.parallel_coordinates.save", lambda figure, path: figures.append(figure) or path
    )
    shares = {"model.lr": 0.5, "model.activation": 0.4, "model.size_9": 0.1}
    draw_parallel_coordinates(
        study.trials, space, metric="val/mse", direction="minimize", position=0, path=tmp_path / "x.png", shares=shares
    )
    axis = figures[0].axes[0]
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert len(names) == 9
    assert {"lr (log)", "activation", "size_9", "val/mse"} <= set(names)
    assert "the best 10 in colour; the most important 8 of 12 parameters" in axis.get_title(loc="left")
    words = {text.get_text() for text in axis.texts}
    assert {"1e-05", "0.001", "0.1", "gelu_wi…ximation"} <= words
    assert [len(lines.get_segments()) for lines in axis.collections] == [80, 10]


def test_a_re_evaluation_and_a_seed_that_failed_stand_in_the_report(tmp_path: Path) -> None:
    study = finished_study(20)
    trial = study.ask()
    suggest(trial)
    trial.set_user_attr("seeds", {"seeds": [0, 1, 2], "values": [[0.5]]})
    study.tell(trial, state=TrialState.FAIL)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / f"trial-{trial.number:05d}-seed-1.log").write_text("error: no data\n")
    first, second, *_ = ranked(study, ONE.metrics)
    candidates = [
        {"number": -1, "values": [0.7, 0.8], "why": ""},
        {"number": first.number, "values": [], "why": "fail: out of memory"},
        {"number": second.number, "values": [0.75, 0.95], "why": ""},
    ]
    words = {"seeds": [3, 4], "candidates": candidates, "chosen": second.number, "num_finished": 18}
    study.set_user_attr("reevaluated", words)
    assert f"Best: trial {first.number}, " in report(study, ONE, tmp_path).path.read_text()  # the option is off
    study.set_user_attr("reevaluate", {"top": 2, "seeds": 2})
    text = report(study, ONE, tmp_path).path.read_text()
    how = f"chosen by the mean of 2 fresh seeds (3 to 4); in the search {second.value:.6g}; 3 trials have ended since"
    assert f"Best: trial {second.number}, val/accuracy 0.85 ± 0.14 (2 seeds) (maximize), {how}" in text
    assert "| base config |  | 0.75 ± 0.071 (2 seeds) |  |" in text
    assert f"| trial {first.number} | {first.value:.6g} | fail: out of memory |  |" in text
    assert f"| trial {second.number} | {second.value:.6g} | 0.85 ± 0.14 (2 seeds) | chosen |" in text
    assert f"`error: no data` | `logs/trial-{trial.number:05d}-seed-1.log` |" in text
    table = pl.read_parquet(tmp_path / "trials.parquet")
    assert table.row(second.number, named=True)["reevaluated.mean"] == pytest.approx(0.85)
    assert table.row(first.number, named=True)["reevaluated.mean"] is None
