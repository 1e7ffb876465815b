"""Messages about a config: file, line, what was given, what is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_app.__main__ import main

FitArgs = Callable[..., list[str]]


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *parts, last = key.split(".")
    inner = config
    for part in parts:
        inner = inner[part]
    inner[last] = value
    return config


OPTIMIZER = "model.init_args.optimizer"
PHASE = {"class_path": "PhaseTransformer", "init_args": {"period": 24, "hidden_size": -3}}
STOP = {"class_path": "EarlyStopping", "init_args": {"monitr": "x"}}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (f"{OPTIMIZER}.init_args", {"learning_rate": 1}, "learning_rate: no such option of AdamW; allowed: lr"),
        (f"{OPTIMIZER}.init_args", {"lr": "fast"}, "model.optimizer.lr: 'fast' given; allowed: float, Tensor"),
        (f"{OPTIMIZER}.class_path", "AdmW", "model.optimizer: no class named 'AdmW', did you mean 'AdamW'?"),
        (f"{OPTIMIZER}.class_path", "os.system", "model.optimizer: os.system is not of the kind Optimizer"),
        ("trainer.precision", "bf16-miixed", "did you mean 'bf16-mixed'?; allowed: 64, 32, 16, transformer-engine"),
        ("trainer.max_epoch", 3, "trainer.max_epoch: no such option, did you mean '--trainer.max_epochs'?"),
        ("trainer.callbacks", [STOP], "callbacks.monitr: no such option of EarlyStopping, did you mean 'monitor'?"),
        ("trainr", {}, "trainr: no such key, did you mean 'trainer'?"),
        ("optimizer", {"lr": 1}, "optimizer: no such key; an optimizer is an argument of the model: model.optimizer"),
        ("run", {"nam": "x"}, "run.nam: no such option, did you mean '--run.name'?"),
        ("data.init_args.missing", "ignore", "data.missing: 'ignore' given; allowed: error, fill, mask"),
        ("model.init_args.network", PHASE, "model.network: PhaseTransformer: Trying to create tensor with negative"),
        ("seed_everything", -1, "seed_everything: -1 is not in bounds"),
        (f"{OPTIMIZER}.class_path", "ReduceLROnPlateau", "ReduceLROnPlateau is not of the kind that is needed here"),
        ("trainer.callbacks", ["EarlyStoping"], "no class named 'EarlyStoping', did you mean 'EarlyStopping'?"),
        ("data.init_args.batch_size", 0, "data.batch_size: 0 given, at least 1 is needed"),
    ],
)  # fmt: skip
def test_a_message_about_a_config_starts_with_file_and_line(
    key: str, value: Any, message: str, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    config = changed(yaml.safe_load(Path(fit_args()[2]).read_text()), key, value)
    text = yaml.safe_dump(config, sort_keys=False)
    Path("wrong.yaml").write_text(text)
    assert main(["fit", "-c", "wrong.yaml"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    place, _, rest = line.removeprefix("error: ").partition(": ")
    file, number = place.split(":")
    assert file == "wrong.yaml"
    assert rest.split(":")[0].split(".")[-1] in text.splitlines()[int(number) - 1]
    assert message in rest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model:\n  a: 1\n   b: 2\n", "wrong.yaml:3: no YAML: mapping values are not allowed here"),
        ("- a\n- b\n", "wrong.yaml:1: a mapping with keys such as model, data and trainer is needed"),
        ("seed_everything: 1\nseed_everything: 2\n", "wrong.yaml:2: seed_everything: stands twice, first in line 1"),
        ("model:\n  init_args: {a: 1}\n  init_args: {}\n", "wrong.yaml:3: init_args: stands twice, first in line 2"),
        ("# later\n", "wrong.yaml: is empty; a mapping with keys such as model, data and trainer is needed"),
    ],
)
def test_a_file_that_is_no_config_is_named(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.yaml").write_text(text)
    assert main(["fit", "-c", "wrong.yaml"]) == 2
    assert capsys.readouterr().err.strip() == f"error: {message}"


def test_what_an_option_gives_is_no_files(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_args("--trainer.max_epochs=many")) == 2
    assert capsys.readouterr().err.strip() == "error: trainer.max_epochs: 'many' given; allowed: int, null"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data:\n  class_path: ForecastingDataModule\n  init_args: {horizn: 3}\n",
            "wrong.yaml:3: data.horizn: ",
        ),
        ("data:\n  a: 1\n   b: 2\n", "wrong.yaml:3: no YAML"),
    ],
)
def test_verbs_that_read_the_data_alone_name_file_and_line_too(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text(text)
    assert main(["walk-forward", "wrong.yaml"]) == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_a_command_line_without_a_model_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--trainer.max_epochs=1"]) == 2
    assert capsys.readouterr().err.strip() == "error: model: none given; give a config file with -c, or --model"


def test_compare_reads_all_configs_before_it_trains_the_first(
    fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    Path("right.yaml").write_text(yaml.safe_dump(config))
    Path("wrong.yaml").write_text(yaml.safe_dump(changed(config, "model.init_args.network.init_args.period", 100)))
    assert main(["compare", "right.yaml", "wrong.yaml"]) == 2
    assert "wrong.yaml: look_back: 48 given, at least one period of 100 rows is needed" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_part_of_an_option_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "package", "table.parquet", "--output", "answers.parquet", "--overwrit"]) == 2
    message = "error: score: unrecognized arguments: --overwrit, did you mean '--overwrite'?"
    assert capsys.readouterr().err.strip() == message
