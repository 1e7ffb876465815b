"""Which exporter a model has."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from datamodules import BaseDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging.export.exporter import Exporter
from models import BaseModule

# Model, data module and exporter, the first pair that fits. By name, as graphs need PyG, which may not be installed.
_FAMILIES = (
    ("models:Forecaster", "datamodules:ForecastingDataModule", "forecasting:ForecastExporter"),
    ("models:RecurrentLanguageModel", "datamodules:BaseDataModule", "language_model:LanguageModelExporter"),
    ("models:PuzzleSolver", "datamodules:SudokuDataModule", "puzzle:PuzzleExporter"),
    ("models:TrajectoryForecaster", "datamodules:PanelDataModule", "trajectory:TrajectoryExporter"),
    ("models.graph:NodeClassifier", "datamodules.graph:NodeDataModule", "nodes:NodeExporter"),
    ("models.graph:LinkPredictor", "datamodules.graph:LinkDataModule", "links:LinkExporter"),
    ("models.graph:GraphPredictor", "datamodules.graph:GraphDataModule", "graphs:GraphExporter"),
)


def exporter_for(module: BaseModule, data: BaseDataModule) -> Exporter:
    """The exporter of a model.

    Args:
        module: With the weights of the checkpoint, in evaluation.
        data: What it is tested on, set up for the test.

    Raises:
        UsageError: Models of this class, or on this data, cannot be exported.
    """
    ancestors = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__]
    for model_name, data_name, exporter_name in _FAMILIES:
        package, name = model_name.split(":")
        # Compared by name first: who exports a forecaster need not have what graphs need.
        if not any(known.startswith(f"{package}.") and known.endswith(f".{name}") for known in ancestors):
            continue
        if isinstance(module, _find(model_name)) and isinstance(data, _find(data_name)):
            file, kind = exporter_name.split(":")
            make: Callable[[Any, Any], Exporter] = getattr(import_module(f"{__package__}.families.{file}"), kind)
            return make(module, data)
    known = ", ".join(f"{model.split(':')[1]} on {data.split(':')[1]}" for model, data, _ in _FAMILIES)
    raise UsageError(
        f"ckpt_path: a {type(module).__name__} on a {type(data).__name__} cannot be exported; what can: {known}"
    )


def _find(address: str) -> type:
    package, name = address.split(":")
    found: type = getattr(import_module(package), name)
    return found
