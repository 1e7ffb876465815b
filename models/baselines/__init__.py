"""Closed-form and naive references, and small networks; all trained and tested through the same command."""

from models.baselines.cascaded_mlp import CascadedForecaster, CascadedMLP
from models.baselines.linear import Linear
from models.baselines.naive import RepeatLast, SeasonalNaive
from models.baselines.ridge import RidgeForecaster

__all__ = ["CascadedForecaster", "CascadedMLP", "Linear", "RepeatLast", "RidgeForecaster", "SeasonalNaive"]
