from pathlib import Path

import matplotlib.image
import optuna
import polars as pl
import pytest
from optuna.trial import TrialState

from sweeps.axes import short_names, view
from sweeps.ranking import best_so_far, ranked
from sweeps.report import Search, report
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


def test_every_picture_is_drawn_and_in_the_report(tmp_path: Path) -> None:
    written = report(finished_study(60), ONE, tmp_path)
    assert set(written.pictures) == {"History", "Importances", "Parallel coordinates", "Slices", "Curves"}
    for picture in written.pictures.values():
        pixels = matplotlib.image.imread(picture)
        assert min(pixels.shape[:2]) > 200
        assert pixels.std() > 0.05  # not an empty sheet
        assert f"(pictures/{picture.name})" in written.path.read_text()
    assert not list(tmp_path.rglob("*.part*"))


def test_several_metrics_have_a_pareto_front(tmp_path: Path) -> None:
    study = finished_study(40, metrics=2)
    written = report(study, TWO, tmp_path)
    assert {"Pareto front", "Importances of val/cost", "Slices of val/accuracy"} <= set(written.pictures)
    assert f"The Pareto front has {len(study.best_trials)} trials." in written.path.read_text()
    assert {trial.number for trial in ranked(study, TWO.metrics)} == {trial.number for trial in study.best_trials}


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


def test_keys_are_as_short_as_they_can_be_told_apart() -> None:
    keys = ["model.encoder.dropout", "model.decoder.dropout", "model.optimizer.lr", "lr", "data.size"]
    assert list(short_names(keys).values()) == ["encoder.dropout", "decoder.dropout", "optimizer.lr", "lr", "size"]


def test_one_trial_that_went_astray_does_not_squeeze_the_others() -> None:
    low, high = view([1.0, 1.1, 1.2, 1.3, 1e9, float("nan")], "minimize")
    assert 0.9 < low < 1.0
    assert 1.3 < high < 3
    assert view([], "minimize") == (0.0, 1.0)
    assert view([2.0], "maximize")[0] < 2.0 < view([2.0], "maximize")[1]
