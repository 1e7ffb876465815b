"""fit, validate, test and predict through `main`, on real files."""

import csv
import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lightning_app.__main__ import VERBS, main
from lightning_app.cli import run
from lightning_app.errors import describe, exit_code
from models import Forecaster
from tests.conftest import CONFIGS, load_weights, needs_etth1, only_run, run_folders
from tests.families import TrainedFamily

FitArgs = Callable[..., list[str]]


@pytest.fixture
def fitted(family: Callable[[str], TrainedFamily], tmp_path: Path) -> Path:
    """The folder of a finished fit of the small config."""
    trained = family("forecasting")
    return Path(shutil.copytree(trained.fitted, tmp_path / "runs" / "small" / trained.run.name))


def test_a_fit_leaves_a_complete_run_folder(fitted: Path) -> None:
    assert {path.name for path in fitted.iterdir()} == {
        "config.yaml",
        "lineage.json",
        "checkpoints",
        "metrics.csv",
        "metrics.json",
    }
    assert {path.name for path in (fitted / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert json.loads((fitted / "metrics.json").read_text()).keys() >= {"train/loss", "val/loss", "val/mse", "val/mae"}
    lineage = json.loads((fitted / "lineage.json").read_text())
    assert lineage["data"]["rows"] == 400
    assert lineage["seed"] == 3
    assert lineage["environment"]["torch"] == torch.__version__


def test_the_resolved_config_runs_again_to_the_same_weights(fitted: Path, tmp_path: Path) -> None:
    assert main(["fit", "-c", str(fitted / "config.yaml"), "--run.root", str(tmp_path / "again")]) == 0
    again = load_weights(only_run(tmp_path / "again") / "checkpoints" / "last.ckpt")
    assert all(
        torch.equal(value, again[name]) for name, value in load_weights(fitted / "checkpoints" / "last.ckpt").items()
    )


def test_a_second_fit_leaves_the_first_alone(fitted: Path, fit_args: FitArgs, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in fitted.rglob("*") if path.is_file()}
    assert main(fit_args()) == 0
    assert {path: path.read_bytes() for path in fitted.rglob("*") if path.is_file()} == before
    assert len(run_folders(tmp_path / "runs")) == 2


def test_a_checkpoint_alone_is_enough_to_test(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = fitted / "checkpoints" / "best.ckpt"
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert metrics.keys() >= {"train/loss", "val/mse", "test/mse", "test/mae"}
    report = (fitted / "report.md").read_text()
    assert f"| test/mse | {metrics['test/mse']:.4f} |" in report
    assert "69 in test, no window dropped" in report
    assert "Forecaster(PhaseTransformer)" in report
    assert (fitted / "forecast.png").read_bytes()[:4] == b"\x89PNG"
    assert "test/mse" in capsys.readouterr().out


def test_a_run_folder_without_an_option_is_answered_with_the_command_that_takes_it(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fitted / "checkpoints" / "best.ckpt"
    assert main(["test", str(fitted)]) == 2
    assert f"--ckpt_path {checkpoint} (a fit goes on from last.ckpt), which brings its" in capsys.readouterr().err
    assert main(["test", str(checkpoint)]) == 2
    assert f"--ckpt_path {checkpoint}, and -c CONFIG if it lies in no run folder" in capsys.readouterr().err
    assert main(["test", str(fitted / "config.yaml")]) == 2
    assert f"a config goes with an option, -c {fitted / 'config.yaml'}" in capsys.readouterr().err
    assert main(["test", "nothing"]) == 2
    assert "nothing: no such option; a config goes with -c, a run folder or checkpoint with --ckpt_path" in (
        capsys.readouterr().err
    )


def test_the_command_line_overrides_the_config_of_a_checkpoint(fitted: Path) -> None:
    main(["test", "--ckpt_path", str(fitted / "checkpoints" / "best.ckpt")])
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert main(["test", f"--ckpt_path={fitted / 'checkpoints' / 'best.ckpt'}", "--data.split", "[280, 300, 360]"]) == 0
    assert json.loads((fitted / "metrics.json").read_text())["test/mse"] != metrics["test/mse"]
    assert "49 in test" in (fitted / "report.md").read_text()


@pytest.mark.parametrize("batch_size", [13, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 1000))])
def test_metrics_do_not_depend_on_the_batch_size(fitted: Path, batch_size: int) -> None:
    checkpoint = str(fitted / "checkpoints" / "best.ckpt")
    main(["test", "--ckpt_path", checkpoint])
    expected = json.loads((fitted / "metrics.json").read_text())
    main(["test", "--ckpt_path", checkpoint, "--data.eval_batch_size", str(batch_size)])
    found = json.loads((fitted / "metrics.json").read_text())
    for name in ("test/mse", "test/mae", "test/loss"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


def test_validate_gives_the_metric_that_chose_the_checkpoint(fitted: Path) -> None:
    checkpoint = fitted / "checkpoints" / "best.ckpt"
    rows = list(csv.DictReader((fitted / "metrics.csv").open()))
    best = min(float(row["val/mse"]) for row in rows if row["val/mse"])
    assert main(["validate", "--ckpt_path", str(checkpoint)]) == 0
    assert json.loads((fitted / "metrics.json").read_text())["val/mse"] == pytest.approx(best, rel=1e-6)


def test_predict_writes_a_forecast_from_the_end_of_the_series(fitted: Path) -> None:
    assert main(["predict", "--ckpt_path", str(fitted / "checkpoints" / "best.ckpt")]) == 0
    table = pl.read_parquet(fitted / "predictions.parquet")
    assert table.columns == ["time", "channel", "forecast"]
    assert len(table) == 2 * 12
    assert str(table["time"].min()) == "2024-01-17 16:00:00"
    assert table.filter(pl.col("channel") == "c1")["forecast"].mean() == pytest.approx(20, abs=2)


def test_shuffling_the_future_leaves_a_forecast_unchanged(fitted: Path, table_file: Path) -> None:
    module = Forecaster.load_from_checkpoint(fitted / "checkpoints" / "best.ckpt").eval()
    values = torch.from_numpy(pl.read_csv(table_file).select("c0", "c1").to_numpy()).float()
    before = module(values[None, 300:348])
    values[348:] = values[348:][torch.randperm(52)]
    assert torch.equal(module(values[None, 300:348]), before)


def test_a_notebook_loads_a_checkpoint_alone_and_forecasts_in_raw_units(fitted: Path) -> None:
    module = Forecaster.load_from_checkpoint(fitted / "checkpoints" / "best.ckpt").eval()
    assert module.has_statistics
    forecast = module(torch.full((1, 48, 2), 1.0) * torch.tensor([10.0, 20.0]))
    assert forecast.mean(dim=(0, 1)).tolist() == pytest.approx([10, 20], abs=1.5)


def test_best_names_the_newest_run(fitted: Path, fit_args: FitArgs) -> None:
    assert main(fit_args("--ckpt_path", "best", verb="test")) == 0
    assert (fitted / "report.md").exists()


def test_best_is_tested_as_it_was_fitted_also_where_the_command_line_had_overrides(
    fit_args: FitArgs, tmp_path: Path
) -> None:
    assert main(fit_args("--data.horizon", "10", "--model.network.hidden_size", "16")) == 0
    assert main(fit_args("--ckpt_path", "best", verb="test")) == 0
    assert "horizon 10" in (only_run(tmp_path / "runs") / "report.md").read_text()


def test_best_without_an_experiment_or_a_run_says_what_is_missing(
    fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", "--ckpt_path", "best"]) == 2
    assert "'best' of which experiment?" in capsys.readouterr().err
    assert main(fit_args("--ckpt_path", "best", verb="test")) == 2
    assert "has a checkpoint 'best.ckpt' yet" in capsys.readouterr().err
    assert main(fit_args("--ckpt_path", "last", verb="test")) == 2  # also of a model with nothing to fit
    assert "has a checkpoint 'last.ckpt' yet" in capsys.readouterr().err


def test_a_checkpoint_works_from_another_folder(
    fit_args: FitArgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(fit_args("--data.series.path", "waves.csv", "--run.root", "runs")) == 0
    checkpoint = (only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt").resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0


@pytest.mark.parametrize("verb", ["test", "predict", "validate"])
def test_a_model_that_has_to_be_fitted_is_not_evaluated_without_a_checkpoint(
    verb: str, fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args(verb=verb)) == 2
    assert f"ckpt_path: {verb} of a model that has to be fitted needs a checkpoint" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_report_says_what_was_tested_otherwise(fitted: Path) -> None:
    checkpoint = str(fitted / "checkpoints" / "best.ckpt")
    assert (
        main(["test", "--ckpt_path", checkpoint, "--data.eval_batch_size", "7", "--trainer.limit_test_batches", "2"])
        == 0
    )
    report = (fitted / "report.md").read_text()
    assert "- data.init_args.eval_batch_size was 7 instead of None" in report
    assert "**only a part of the split was tested** (trainer.limit_test_batches: 2)" in report


@pytest.mark.parametrize("flag", ["enable_progress_bar", "enable_checkpointing"])
def test_flags_of_the_trainer_work(flag: str, fit_args: FitArgs, tmp_path: Path) -> None:
    assert main(fit_args(f"--trainer.{flag}", "false")) == 0
    assert (only_run(tmp_path / "runs") / "checkpoints").exists() == (flag == "enable_progress_bar")


def test_a_trainer_that_cannot_be_built_is_exit_code_2(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_args("--trainer.devices", "0")) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_ctrl_c_is_exit_code_130(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_args("--trainer.callbacks+=tests.lightning_app.failing.InterruptedCallback")) == 130
    assert capsys.readouterr().err.strip().endswith("error: interrupted")


def test_a_csv_whose_later_rows_hold_other_numbers_is_read(fit_args: FitArgs, table_file: Path) -> None:
    lines = table_file.read_text().splitlines()
    whole = [line.rsplit(",", 1)[0] + ",7" if 0 < index < 200 else line for index, line in enumerate(lines)]
    table_file.write_text("\n".join([*whole[:250], *whole[250:]]) + "\n")
    assert main(fit_args()) == 0


def test_words_that_mean_missing_are_missing(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table_file.read_text().splitlines()
    lines[300] = lines[300].rsplit(",", 1)[0] + ",n/a"
    table_file.write_text("\n".join(lines) + "\n")
    assert main(fit_args()) == 2
    assert "1 values are NaN, infinite or empty (first: column 'c1'" in capsys.readouterr().err
    assert main(fit_args("--data.missing", "mask")) == 0


def test_a_file_that_is_no_table_is_refused(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.parquet").write_bytes(b"PAR1 but not really")
    options = ("--data.series.path", "broken.parquet", "--data.series.channels", "[c0]")
    assert main(fit_args(*options)) == 2
    assert "broken.parquet is not a readable table" in capsys.readouterr().err


def test_a_channel_that_float32_cannot_resolve_is_refused(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pl.read_csv(table_file).with_columns(pl.col("c0") + 1e9)
    frame.write_csv(table_file)
    assert main(fit_args()) == 2
    assert "'c0' varies by" in capsys.readouterr().err


def test_overfit_batches_see_the_same_batches_in_every_epoch(fit_args: FitArgs) -> None:
    from tests.lightning_app.failing import Recorder

    Recorder.origins.clear()
    recorder = "--trainer.callbacks+=tests.lightning_app.failing.Recorder"
    assert main(fit_args("--trainer.overfit_batches", "1", recorder)) == 0
    first, second = Recorder.origins
    assert first == second


def test_a_baseline_without_weights_fits_and_tests(fit_args: FitArgs, tmp_path: Path) -> None:
    options = ("--model.network", "RepeatLast", "--model.optimizer", "null", "--model.scheduler", "null")
    assert main(fit_args(*options)) == 0
    folder = only_run(tmp_path / "runs")
    assert main(["test", "--ckpt_path", str(folder / "checkpoints" / "best.ckpt")]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.netwrk", "x"], "model.netwrk: no such option of Forecaster, did you mean 'network'?"),
        (["--model.network.hiden_size", "3"], "model.network.hiden_size: no such option of PhaseTransformer"),
        (["--model.network.hidden_size", "big"], "model.network.hidden_size: 'big' given; allowed: int"),
        (["--model.network", "PhasTransformer"], "model.network: no class named 'PhasTransformer', did you mean"),
        (["--model.network", "ETT"], "model.network: ETT is not of the kind that is needed here"),
        (["--model", "Forcaster"], "model: no class named 'Forcaster', did you mean 'Forecaster'?"),
        (["--trainer.max_epoch", "3"], "trainer.max_epoch: no such option, did you mean '--trainer.max_epochs'?"),
        (["--trainer.max_epochs", "many"], "trainer.max_epochs: "),
        (["-c", "nothing.yaml"], "nothing.yaml"),
        (["--ckpt_path", "nothing.ckpt"], "ckpt_path: 'nothing.ckpt' does not exist"),
        (["--data.series.path", "nothing.csv"], "'nothing.csv' does not exist; looked for"),
        (["--data.series.channels", "[c0, c9]"], "no column named 'c9'"),
        (["--data.missing", "ignore"], "data.missing: "),
        (["--data.look_back", "5000"], "the train split holds no window"),
        (["--data.calendar", "[hour]"], "PhaseTransformer takes no future_covariates, which the data module provides"),
        (["--model.optimizer", "null"], "model.optimizer: Forecaster has"),
        (["--data.batch_size", "0"], "data.batch_size: 0 given, at least 1 is needed"),
        (["--model.network.period", "100"], "look_back: 48 given, at least one period of 100 rows is needed"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(
    options: list[str], message: str, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args(*options)) == 2
    *warnings, line = capsys.readouterr().err.strip().splitlines()
    assert all(warning.startswith("warning: ") for warning in warnings)
    assert line.startswith("error: ")
    assert message in line
    assert "Union subtypes" not in line


@pytest.mark.parametrize("content", ["", "time,c0\n", "time,c0\n2024-01-01,nan\n2024-01-02,1\n"])
def test_empty_and_nan_data_is_refused(content: str, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.csv").write_text(content)
    options = ("--data.series.path", "bad.csv", "--data.series.channels", "[c0]", "--data.series.frequency", "1d")
    assert main(fit_args(*options)) == 2
    assert capsys.readouterr().err.startswith("error: bad.csv")


def test_a_file_with_a_wrong_checksum_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ett").mkdir()
    (tmp_path / "ett" / "ETTh1.csv").write_text("date,OT\n")
    assert main(["fit", "-c", str(CONFIGS / "forecasting/etth1_ridge.yaml"), "--data.root", str(tmp_path)]) == 2
    assert "has sha256" in capsys.readouterr().err


def test_a_checkpoint_of_another_class_is_refused(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "test",
                "--ckpt_path",
                str(fitted / "checkpoints" / "best.ckpt"),
                "--model",
                "RidgeForecaster",
                "--model.network",
                "models.baselines.ridge.FixedLinear",
                "--model.network.norm",
                "ReversibleNorm",
                "--model.network.norm.mode",
                "mean",
                "--model.loss",
                "torch.nn.MSELoss",
            ]
        )
        == 2
    )
    assert "was made by models.Forecaster, the config asks for RidgeForecaster" in capsys.readouterr().err


def test_a_checkpoint_of_other_sizes_is_refused(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(fitted / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint, "--model.network.hidden_size", "16"]) == 2
    assert "the checkpoint does not fit the model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"no checkpoint"]
)
def test_a_damaged_checkpoint_is_refused(damage, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = fitted / "checkpoints" / "best.ckpt"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 2
    assert "is no readable checkpoint" in capsys.readouterr().err


def test_a_checkpoint_with_a_flipped_bit_is_refused_wherever_it_is_read(
    fitted: Path, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fitted / "checkpoints" / "best.ckpt"
    flip_bit_of_a_weight(checkpoint)
    student = ("--model", "DistilledForecaster", "--model.network", "PhaseTransformer", "--model.network.period", "24")
    teacher = ("--model.loss", "torch.nn.L1Loss", "--model.optimizer", "Adam", "--model.teacher", str(fitted))
    commands = [[verb, "--ckpt_path", str(checkpoint)] for verb in ("test", "validate", "predict", "fit")]
    for command in (*commands, ["export", str(fitted), "--output", "package"], fit_args(*student, *teacher)):
        assert main(command) == 2, command
        assert "best.ckpt is damaged: the checksum of " in capsys.readouterr().err, command
    with pytest.raises(ValueError, match="is damaged"):
        Forecaster.load_from_checkpoint(checkpoint)


def flip_bit_of_a_weight(checkpoint: Path) -> None:
    """Changes the highest bit of an exponent, which PyTorch alone would read as a weight of another size."""
    data = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size if "/data/" in info.filename else 0)
    names = struct.unpack("<HH", data[record.header_offset + 26 : record.header_offset + 30])
    data[record.header_offset + 30 + sum(names) + 3] ^= 0x40
    checkpoint.write_bytes(data)


def test_a_checkpoint_outside_a_run_folder_asks_for_its_config(
    fitted: Path, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("elsewhere.ckpt").write_bytes((fitted / "checkpoints" / "best.ckpt").read_bytes())
    assert main(["test", "--ckpt_path", "elsewhere.ckpt"]) == 2
    assert "lies in no run folder" in capsys.readouterr().err
    assert main(fit_args("--ckpt_path", "elsewhere.ckpt", verb="test")) == 0


def test_failed_work_is_exit_code_1_and_debug_raises(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--trainer.callbacks+=tests.lightning_app.failing.FailingCallback",)
    assert main(fit_args(*options)) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1] == "error: RuntimeError: out of luck"
    with pytest.raises(RuntimeError, match="out of luck"):
        main(fit_args(*options, "--debug"))


def test_switching_a_class_does_not_keep_the_old_arguments(fit_args: FitArgs) -> None:
    cli = run(fit_args("--model.optimizer", "Adam", "--model.scheduler", "null", "--trainer.fast_dev_run", "1"))
    (group,) = cli.trainer.optimizers[0].param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0)


def test_callbacks_of_several_files_merge_and_the_later_of_one_class_counts(fit_args: FitArgs) -> None:
    for name, decay in (("a", 0.5), ("b", 0.7)):
        callbacks = [{"class_path": "WeightAverage", "init_args": {"decay": decay}}]
        callbacks += [{"class_path": "LearningRateMonitor"}] if name == "a" else []
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks+": callbacks}}))
    cli = run(fit_args("-c", "a.yaml", "-c", "b.yaml", "--trainer.max_steps", "2"))
    names = [type(callback).__name__ for callback in cli.trainer.callbacks]
    assert names.count("WeightAverage") == 1
    assert "LearningRateMonitor" in names
    assert (
        next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "WeightAverage").decay == 0.7
    )


def test_the_run_is_named_after_the_config_that_sets_the_model(fit_args: FitArgs, tmp_path: Path) -> None:
    assert main(fit_args("-c", str(CONFIGS / "trainer/debug.yaml"))) == 0
    assert only_run(tmp_path / "runs").parent.name == "small"


def test_print_config_and_class_help_work(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_args("--print_config")) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["class_path"] == "models.Forecaster"
    assert main(["fit", "--model.help", "Forecaster"]) == 0
    assert "Target channels C" in capsys.readouterr().out


def test_help_names_every_verb_and_unknown_verbs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in VERBS)
    assert main(["fitt"]) == 2
    assert "unknown verb 'fitt', allowed: fit, validate" in capsys.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(unbuffered: str) -> None:
    command = f"{sys.executable} -m lightning_app data --help | true; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    answer = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == ("141\n", "")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    code = (
        "import sys; from lightning_app.__main__ import main; main([sys.argv[1]]); "
        "assert not {'torch', 'lightning', 'jsonargparse', 'numpy', 'wandb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, option], check=True, cwd=CONFIGS.parent, capture_output=True)


@given(st.text(), st.sampled_from([ValueError, FileNotFoundError, RuntimeError, KeyError]))
def test_any_error_becomes_one_line(text: str, kind: type[Exception]) -> None:
    assert len(describe(kind(text)).splitlines()) <= 1
    assert exit_code(kind(text)) == (2 if kind in (ValueError, FileNotFoundError) else 1)


@pytest.mark.slow
@needs_etth1
def test_ridge_on_etth1_reaches_the_known_error() -> None:
    assert main(["fit", "-c", str(CONFIGS / "forecasting/etth1_ridge.yaml")]) == 0
    folder = only_run(Path("runs"))
    assert main(["test", "--ckpt_path", str(folder / "checkpoints" / "best.ckpt")]) == 0
    assert json.loads((folder / "metrics.json").read_text())["test/mse"] == pytest.approx(0.3677, abs=1e-3)


def test_a_class_whose_module_was_loaded_again_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_reloaded.py").write_text("import models\n\nclass OwnReloaded(models.Forecaster): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = importlib.import_module("own_reloaded").OwnReloaded
    assert importlib.reload(sys.modules["own_reloaded"]).OwnReloaded is not first
    config = str(CONFIGS / "forecasting" / "co2_naive.yaml")
    assert main(["fit", "-c", config, "--model", "OwnReloaded", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["class_path"] == "own_reloaded.OwnReloaded"
