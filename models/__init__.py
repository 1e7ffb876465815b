"""Networks, and the LightningModules that train them."""

from models.base import BaseModule, StepOutput
from models.baselines import (
    CascadedForecaster,
    CascadedMLP,
    RepeatLast,
    RidgeForecaster,
    SeasonalNaive,
    WindowLinear,
)
from models.ensemble import EnsembleForecaster
from models.forecaster import Forecaster
from models.layers import ReversibleNorm
from models.losses import FocalLoss, InfoNCELoss, PinballLoss, SupervisedContrastiveLoss
from models.recurrent import PuzzleSolver, TinyRecursiveModel
from models.schedules import OneCycle, WarmupCosine
from models.transformer import PatchTransformer, PhaseTransformer

__all__ = [
    "BaseModule",
    "CascadedForecaster",
    "CascadedMLP",
    "EnsembleForecaster",
    "FocalLoss",
    "Forecaster",
    "InfoNCELoss",
    "OneCycle",
    "PatchTransformer",
    "PhaseTransformer",
    "PinballLoss",
    "PuzzleSolver",
    "RepeatLast",
    "ReversibleNorm",
    "RidgeForecaster",
    "SeasonalNaive",
    "StepOutput",
    "SupervisedContrastiveLoss",
    "TinyRecursiveModel",
    "WarmupCosine",
    "WindowLinear",
]
