"""What users of LightningCLI bring along: their modules, data modules, loggers, callbacks and saved configs."""

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import AsyncCheckpointIO

from callbacks import DurableCheckpointIO, LastCheckpoint, Progress
from lightning_app.__main__ import main
from lightning_app.cli import AppCLI, run
from lightning_app.runs.history import History
from tests.conftest import only_run
from tests.lightning_app.boring import Plain, PlainData

PLAIN = [
    "--model=tests.lightning_app.boring.Plain",
    "--data=tests.lightning_app.boring.PlainData",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
]


def fit(*options: str) -> AppCLI:
    return run(["fit", *PLAIN, *options])


def callbacks_of(cli: AppCLI, kind: type) -> list[Any]:
    return [callback for callback in cli.trainer.callbacks if isinstance(callback, kind)]


def test_any_module_and_data_module_go_through_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *PLAIN, "--trainer.log_every_n_steps=1"]) == 0
    assert "Plain, 5 parameters" in capsys.readouterr().out
    folder = only_run(Path("runs"))
    checkpoint = str(folder / "checkpoints" / "last.ckpt")
    assert json.loads((folder / "metrics.json").read_text()).keys() >= {"loss", "valid_loss"}
    for verb in ("validate", "test", "predict"):
        assert main([verb, "--ckpt_path", checkpoint, "--trust", "tests"]) == 0
    assert "no predictions.parquet" in capsys.readouterr().out
    assert main(["export", checkpoint, "--output", "package", "--", "--trust", "tests"]) == 2
    assert "data: PlainData is no BaseDataModule" in capsys.readouterr().err
    assert "test_loss" in (folder / "report.md").read_text()
    assert Plain.load_from_checkpoint(checkpoint).hparams["width"] == 4
    assert main(["fit", "-c", str(folder / "config.yaml"), "--ckpt_path", checkpoint, "--trainer.max_epochs=2"]) == 0


def test_a_module_that_brings_its_own_loaders_needs_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--model.optimizer=Adam"]
    cli = run(["fit", "--model=tests.lightning_app.boring.SelfFed", *options])
    assert cli.datamodule is None
    assert type(cli.trainer.optimizers[0]).__name__ == "Adam"
    assert cli.trainer.global_step == 4


def test_ours_without_data_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"class_path": "RepeatLast", "init_args": {"horizon": 2}}
    init = {"network": model, "loss": "torch.nn.L1Loss", "num_channels": 1, "look_back": 4, "horizon": 2}
    Path("a.yaml").write_text(yaml.safe_dump({"model": {"class_path": "Forecaster", "init_args": init}}))
    assert main(["fit", "-c", "a.yaml"]) == 2
    assert "data: none given; a Forecaster needs a data module" in capsys.readouterr().err


def test_the_users_logger_is_the_modules_and_its_folder_the_log_dir() -> None:
    cli = fit("--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs", "--trainer.callbacks=ModelCheckpoint")
    assert isinstance(cli.model.logger, CSVLogger)
    assert Path(cli.trainer.log_dir) == Path("logs/lightning_logs/version_0")
    assert any(isinstance(logger, History) for logger in cli.trainer.loggers)


@pytest.mark.parametrize("bar", [RichProgressBar, TQDMProgressBar])
def test_another_progress_bar_takes_the_place_of_ours(bar: type) -> None:
    cli = fit(f"--trainer.callbacks={bar.__name__}")
    assert callbacks_of(cli, bar)
    assert not callbacks_of(cli, Progress)


def test_checkpoints_of_model_checkpoint_lie_in_the_run_folder_and_can_be_resumed() -> None:
    cli = fit("--trainer.callbacks+=ModelCheckpoint")
    (own,) = callbacks_of(cli, ModelCheckpoint)
    assert Path(own.best_model_path).parent.resolve() == cli.folder.checkpoints.resolve()
    resumed = run(["fit", "--ckpt_path", own.best_model_path, "--trainer.max_epochs=2", "--trust=tests"])
    assert resumed.trainer.global_step == 8


@pytest.mark.parametrize("name", ["StochasticWeightAveraging", "EMAWeightAveraging"])
def test_callbacks_that_copy_the_module_work_and_the_saved_config_too(name: str) -> None:
    arguments = {"swa_lrs": 0.1, "swa_epoch_start": 1} if name.startswith("Stoch") else {}
    part = json.dumps([{"class_path": name, "init_args": arguments}])
    cli = fit(f"--trainer.callbacks={part}", "--trainer.max_epochs=2")
    assert run(["fit", "-c", str(cli.folder.config), "--trainer.fast_dev_run=1"]).trainer.state.finished


def test_parts_of_every_run_can_be_copied_and_sent_to_another_process() -> None:
    cli = fit()
    for part in callbacks_of(cli, Progress):
        copy.deepcopy(part)
        pickle.loads(pickle.dumps(part))


def test_two_callbacks_of_one_class_that_watch_different_things_are_both_kept() -> None:
    stops = [
        {"class_path": "EarlyStopping", "init_args": {"monitor": name}} for name in ("valid_loss", "valid_loss", "loss")
    ]
    kept = [
        {"class_path": "ModelCheckpoint", "init_args": {"monitor": name, "filename": "{epoch}-" + name}}
        for name in ("valid_loss", "loss")
    ]
    cli = fit(f"--trainer.callbacks={json.dumps([*stops, *kept])}")
    assert [stop.monitor for stop in callbacks_of(cli, EarlyStopping)] == ["valid_loss", "loss"]
    assert [own.monitor for own in callbacks_of(cli, ModelCheckpoint)] == ["valid_loss", "loss"]
    saved = yaml.safe_load(cli.folder.config.read_text())["trainer"]["callbacks"]
    assert len(saved) == 4


def test_a_callback_that_replaces_another_one_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    stops = [{"class_path": "EarlyStopping", "init_args": {"monitor": "loss", "patience": size}} for size in (3, 7)]
    cli = fit(f"--trainer.callbacks={json.dumps(stops)}", "--trainer.fast_dev_run=1")
    assert [stop.patience for stop in callbacks_of(cli, EarlyStopping)] == [7]
    assert "warning: trainer.callbacks: EarlyStopping(monitor=loss" in capsys.readouterr().err


def test_a_config_that_stock_lightning_saved_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["stock"])
    stock = LightningCLI(
        Plain, PlainData, subclass_mode_model=True, subclass_mode_data=True, auto_configure_optimizers=False,
        args=["fit", *PLAIN, "--trainer.logger=false", "--trainer.default_root_dir=stock", "--trainer.fast_dev_run=1"],
        trainer_defaults={"enable_progress_bar": False},
    )  # fmt: skip
    config = yaml.safe_load(stock.parser.dump(stock.config, skip_none=False))["fit"]
    config["trainer"]["default_root_dir"] = None
    Path("stock.yaml").write_text(yaml.safe_dump({**config, "verbose": True}))
    assert config["weights_only"] is None
    assert main(["validate", "-c", "stock.yaml"]) == 0
    del config["weights_only"]
    Path("stock.yaml").write_text(yaml.safe_dump(config | {"weights_only": None}))
    assert main(["fit", "-c", "stock.yaml"]) == 0


def test_sections_of_verbs_configs_before_the_verb_and_options_in_any_order() -> None:
    Path("both.yaml").write_text(
        yaml.safe_dump(
            {
                "fit": {
                    "model": "tests.lightning_app.boring.Plain",
                    "trainer": {"max_epochs": 3, "accelerator": "cpu"},
                },
                "test": {"model": "tests.lightning_app.boring.Plain"},
            }
        )
    )
    Path("preset.yaml").write_text("trainer: {max_epochs: 2}\n")
    words = ["--data=tests.lightning_app.boring.PlainData", "-c", "both.yaml"]
    assert main(["-c", "both.yaml", "fit", "--data=tests.lightning_app.boring.PlainData", "--run.root=a"]) == 0
    assert only_run(Path("a")).parent.name == "both"
    cli = run(["fit", "--model.width=4", "--trainer.max_epochs=1", *words, "-c", "preset.yaml"])
    assert cli.trainer.max_epochs == 1


def test_a_message_about_a_preset_before_the_experiment_names_the_users_file(
    fit_args: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("preset.yaml").write_text("data: {init_args: {pin_memry: true}}")
    verb, *rest = fit_args()
    assert main([verb, "-c", "preset.yaml", *rest]) == 2
    assert re.search(r"^error: preset.yaml: data.pin_memry: no such option", capsys.readouterr().err, re.MULTILINE)


def test_sections_without_the_verb_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fit.yaml").write_text("fit: {model: tests.lightning_app.boring.Plain}\n")
    assert main(["predict", "-c", "fit.yaml"]) == 2
    assert "config: fit.yaml has sections for fit, none for predict" in capsys.readouterr().err


@pytest.mark.parametrize("plugin", ["AsyncCheckpointIO", "lightning.fabric.plugins.io.TorchCheckpointIO"])
def test_an_own_checkpoint_io_takes_the_place_of_ours(plugin: str) -> None:
    cli = fit(f"--trainer.plugins={plugin}")
    used = cli.trainer.strategy.checkpoint_io
    assert isinstance(used, AsyncCheckpointIO) == (plugin == "AsyncCheckpointIO")
    assert isinstance(getattr(used, "checkpoint_io", None), DurableCheckpointIO) == isinstance(used, AsyncCheckpointIO)
    assert (cli.folder.checkpoints / "last.ckpt").is_file()


def test_barebones_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    cli = fit("--trainer.barebones=true")
    assert "barebones: nothing is recorded" in capsys.readouterr().out
    assert not cli.folder.path.exists()
    assert not callbacks_of(cli, LastCheckpoint)


def test_a_batch_size_is_found_and_the_fit_goes_on() -> None:
    finder = {"class_path": "BatchSizeFinder", "init_args": {"init_val": 8, "steps_per_trial": 1, "max_trials": 2}}
    cli = fit(f"--trainer.callbacks={json.dumps([finder])}")
    assert cli.datamodule.batch_size == 16
    assert (cli.folder.checkpoints / "last.ckpt").is_file()


def test_a_subclass_adds_links_and_callbacks_of_its_own() -> None:
    class Linked(AppCLI):
        def add_arguments_to_parser(self, parser: Any) -> None:
            super().add_arguments_to_parser(parser)
            parser.link_arguments("data.init_args.width", "model.init_args.width")

        def instantiate_trainer(self, **kwargs: Any) -> Any:
            return super().instantiate_trainer(callbacks=[EarlyStopping("valid_loss")], **kwargs)

    cli = run(["fit", *PLAIN, "--data.width=7", "--trainer.fast_dev_run=1"], command=Linked)
    assert cli.model.layer.in_features == 7
    assert callbacks_of(cli, EarlyStopping)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.default_root_dir=x"], "give the folder of all runs as run.root"),
        (["--weights_only=false"], "a checkpoint is data, and never unpickled"),
        (["--ckpt_path=https://example.org/a.ckpt"], "is a URL; download it first"),
        (
            ["--optimizer=Adam"],
            "optimizer: no such option; an optimizer is an argument of the model: model.optimizer",
        ),
    ],
)
def test_what_lightning_takes_and_we_do_not_is_said(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *PLAIN, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_checkpoint_named_in_yaml_is_taken_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit()
    Path("resume.yaml").write_text(yaml.safe_dump({"ckpt_path": str(first.folder.checkpoints / "last.ckpt")}))
    resumed = run(["fit", *PLAIN, "-c", "resume.yaml", "--trainer.max_epochs=2"])
    assert resumed.trainer.global_step == 8
    Path("resume.yaml").write_text("ckpt_path: nowhere.ckpt\n")
    assert main(["fit", *PLAIN, "-c", "resume.yaml"]) == 2
    assert "ckpt_path: 'nowhere.ckpt' does not exist" in capsys.readouterr().err


def test_null_of_a_nested_option_is_null(fit_args: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--data.series.frequency", "null", "--data.series.time_format", "007", "--print_config")
    assert main(fit_args(*words)) == 0
    series = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["series"]["init_args"]
    assert series["frequency"] is None
    assert series["time_format"] == "007"
