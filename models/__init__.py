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
from models.forecasting.auto import AutoForecaster, Candidate
from models.forecasting.autoregressive_forecaster import AutoregressiveForecaster
from models.forecasting.distilled_forecaster import DistilledForecaster
from models.forecasting.ensemble import EnsembleForecaster
from models.forecasting.forecaster import Forecaster
from models.layers import ReversibleNorm
from models.losses import FocalLoss, InfoNCE, PinballLoss
from models.mlp import NBEATS, NHiTS, TiDE
from models.recurrent import (
    DeepAR,
    DeltaMemory,
    GRUEncoder,
    LSTMEncoder,
    PuzzleSolver,
    RecurrentLanguageModel,
    StackedEncoder,
    StreamModule,
    TinyRecursiveModel,
    TrajectoryForecaster,
)
from models.schedules import OneCycle, StagedDecay, WarmupCosine
from models.transformer import ITransformer, PatchTransformer, PhaseTransformer, TemporalFusionTransformer

__all__ = [
    "NBEATS",
    "AutoForecaster",
    "AutoregressiveForecaster",
    "BaseModule",
    "Candidate",
    "CascadedForecaster",
    "CascadedMLP",
    "DeepAR",
    "DeltaMemory",
    "DistilledForecaster",
    "EnsembleForecaster",
    "FocalLoss",
    "Forecaster",
    "GRUEncoder",
    "ITransformer",
    "InfoNCE",
    "LSTMEncoder",
    "NHiTS",
    "OneCycle",
    "PatchTransformer",
    "PhaseTransformer",
    "PinballLoss",
    "PuzzleSolver",
    "RecurrentLanguageModel",
    "RepeatLast",
    "ReversibleNorm",
    "RidgeForecaster",
    "SeasonalNaive",
    "StackedEncoder",
    "StagedDecay",
    "StepOutput",
    "StreamModule",
    "TemporalFusionTransformer",
    "TiDE",
    "TinyRecursiveModel",
    "TrajectoryForecaster",
    "WarmupCosine",
    "WindowLinear",
]
