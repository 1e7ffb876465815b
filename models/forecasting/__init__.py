"""Forecasting: the LightningModules that train forecasting networks."""

from models.forecasting.auto import AutoForecaster
from models.forecasting.autoregressive_forecaster import AutoregressiveForecaster
from models.forecasting.distilled_forecaster import DistilledForecaster
from models.forecasting.ensemble import EnsembleForecaster
from models.forecasting.forecaster import Forecaster

__all__ = ["AutoForecaster", "AutoregressiveForecaster", "DistilledForecaster", "EnsembleForecaster", "Forecaster"]
