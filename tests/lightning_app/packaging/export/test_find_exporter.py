import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from torch import nn

from datamodules import ForecastingDataModule, SudokuDataModule, WeeklyCO2
from lightning_app.errors import UsageError
from lightning_app.packaging.export.families.forecasting import ForecastExporter
from lightning_app.packaging.export.find_exporter import exporter_for
from models import Forecaster, RepeatLast


class OwnForecaster(Forecaster):
    """A user's subclass."""


class OwnExporter(ForecastExporter):
    task = "own_forecast"


class Misspelled(Forecaster):
    exporter = "tests.nowhere:Exporter"


class NotAnExporter(Forecaster):
    exporter = "tests.lightning_app.packaging.export.test_find_exporter:OwnForecaster"


class NotExported(Forecaster):
    exporter = None


class NamesItsArgument(Forecaster):
    """What a config or checkpoint gives is data, whatever attribute it lands in."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.exporter = "subprocess:run"


def forecaster(kind: type[Forecaster] = OwnForecaster) -> Forecaster:
    module = kind(network=RepeatLast(horizon=2), loss=nn.L1Loss(), num_channels=1, look_back=4, horizon=2)
    module.has_statistics.fill_(True)
    return module.eval()


def co2() -> ForecastingDataModule:
    return ForecastingDataModule(series=WeeklyCO2(), look_back=4, horizon=2)


def test_a_subclass_has_the_exporter_of_its_family_and_needs_the_statistics_of_a_fit() -> None:
    module = forecaster()
    assert type(exporter_for(module, co2())) is ForecastExporter
    module.has_statistics.fill_(False)
    with pytest.raises(UsageError, match="knows no mean and deviation of the training rows"):
        exporter_for(module, co2())


def test_data_that_the_exporter_is_not_for_are_refused_with_those_that_it_is_for() -> None:
    data = SudokuDataModule(size=4, num_train=1, num_val=1, num_test=1)
    with pytest.raises(UsageError, match="Sudoku.* given, ForecastExporter exports .* on a Forecasting.*docs/ext"):
        exporter_for(forecaster(), data)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Misspelled, "Misspelled.exporter says 'tests.nowhere:Exporter', which cannot be imported"),
        (NotAnExporter, "which is no subclass of Exporter"),
        (NotExported, "NotExported cannot be exported, .* class attribute `exporter = .*docs/extending.md"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(kind: type[Forecaster], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        exporter_for(forecaster(kind), co2())


def test_an_attribute_of_an_object_names_no_code() -> None:
    assert type(exporter_for(forecaster(NamesItsArgument), co2())) is ForecastExporter


def test_modules_and_data_of_other_kinds_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="model: BoringModel is no BaseModule"):
        exporter_for(BoringModel(), co2())
    with pytest.raises(UsageError, match="data: BoringDataModule is no BaseDataModule"):
        exporter_for(forecaster(), BoringDataModule())


def install(folder: Path, name: str, *points: str) -> None:
    """What pip leaves of a distribution with entry points."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lightning_app.exporters]\n" + "\n".join(points) + "\n")


def test_an_installed_package_declares_an_exporter_for_a_class_and_two_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    install(tmp_path, "one", f"{__name__}.OwnForecaster = {__name__}:OwnExporter")
    assert exporter_for(forecaster(), co2()).task == "own_forecast"
    assert exporter_for(forecaster(Forecaster), co2()).task == "forecast"
    install(tmp_path, "two", f"{__name__}.OwnForecaster = {__name__}:OtherExporter")
    with pytest.raises(UsageError, match=r"OwnForecaster has two exporters, .*\((one|two)\).* and .*\((one|two)\)"):
        exporter_for(forecaster(), co2())
