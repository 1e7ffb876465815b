import pytest
from torch import nn

from datamodules import ForecastingDataModule, SudokuDataModule, WeeklyCO2
from lightning_app.errors import UsageError
from lightning_app.packaging.export.find_exporter import exporter_for
from models import Forecaster, RepeatLast


class OwnForecaster(Forecaster):
    """A user's subclass."""


def forecaster() -> Forecaster:
    return OwnForecaster(
        network=RepeatLast(horizon=2), loss=nn.L1Loss(), num_channels=1, look_back=4, horizon=2
    ).eval()  # fmt: skip


def test_a_model_on_data_that_it_has_no_exporter_for_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="OwnForecaster on a SudokuDataModule cannot be exported; what can"):
        exporter_for(forecaster(), SudokuDataModule(size=4, num_train=1, num_val=1, num_test=1))


def test_a_subclass_has_the_exporter_of_its_family_and_needs_the_statistics_of_a_fit() -> None:
    data = ForecastingDataModule(series=WeeklyCO2(), look_back=4, horizon=2)
    module = forecaster()
    with pytest.raises(UsageError, match="knows no mean and deviation of the training rows"):
        exporter_for(module, data)
    module.has_statistics.fill_(True)
    assert exporter_for(module, data).task == "forecast"
