"""Baselines: closed-form and naive forecasts and small networks, trained and tested by the same commands."""

from models.baselines.cascaded_mlp import CascadedForecaster, CascadedMLP
from models.baselines.naive import RepeatLast, SeasonalNaive
from models.baselines.ridge import RidgeForecaster
from models.baselines.window_linear import WindowLinear

__all__ = ["CascadedForecaster", "CascadedMLP", "RepeatLast", "RidgeForecaster", "SeasonalNaive", "WindowLinear"]
