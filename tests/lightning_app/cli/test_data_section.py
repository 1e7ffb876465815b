from pathlib import Path

import pytest

from datamodules import ForecastingDataModule, RecallDataModule
from lightning_app.cli.data_section import read_data
from tests.conftest import CONFIGS

NAIVE = str(CONFIGS / "forecasting/co2_naive.yaml")


def test_the_data_module_is_the_one_that_a_fit_would_have(tmp_path: Path) -> None:
    preset = tmp_path / "preset.yaml"
    preset.write_text("trainer: {max_epochs: 3}\ndata: {init_args: {horizon: 13, batch_size: 7}}\n")
    options = ["--trainer.max_epochs", "9", "-c", str(preset), "--data.horizon", "26", "--data.look_back=104"]
    data = read_data(NAIVE, options)
    assert isinstance(data, ForecastingDataModule)
    assert (data.horizon, data.batch_size, data.look_back, data.eval_batch_size) == (26, 7, 104, 256)


def test_another_class_drops_the_arguments_of_the_old_one() -> None:
    data = read_data(NAIVE, ["--data", "RecallDataModule", "--data.num_pairs=4"])
    assert isinstance(data, RecallDataModule)
    assert data.batch_size == 64  # the config's 32 was for the other class


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.horizont", "3"], "data.horizont: no such option of ForecastingDataModule, did you mean 'horizon'"),
        (["--data.batch_size", "0"], "data.batch_size: 0 given"),
    ],
)
def test_what_is_wrong_is_said_as_a_fit_says_it(options: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_data(NAIVE, options)


def test_a_config_without_data_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("model: {}\n")
    with pytest.raises(ValueError, match="has no data section"):
        read_data(str(empty), [])
