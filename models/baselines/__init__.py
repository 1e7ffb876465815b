"""Closed-form and naive references, and small networks; all trained and tested through the same command."""

from models.baselines.cascaded_mlp import CascadedForecaster, CascadedMLP
from models.baselines.naive import RepeatLast, SeasonalNaive
from models.baselines.ridge import RidgeForecaster
from models.baselines.window_linear import WindowLinear

__all__ = ["CascadedForecaster", "CascadedMLP", "RepeatLast", "RidgeForecaster", "SeasonalNaive", "WindowLinear"]
