"""Forecasting: the LightningModules that train forecasting networks."""

from models.forecasting.distilled_forecaster import DistilledForecaster
from models.forecasting.ensemble import EnsembleForecaster
from models.forecasting.forecaster import Forecaster

__all__ = ["DistilledForecaster", "EnsembleForecaster", "Forecaster"]
