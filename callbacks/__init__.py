"""Lightning callbacks, one job each."""

from callbacks.checkpoint_io import DurableCheckpointIO
from callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from callbacks.compile import Compile
from callbacks.cpu_budget import CpuBudget
from callbacks.exact_resume import ExactResume
from callbacks.faster_precision import FasterPrecision
from callbacks.finite_check import DivergedError, FiniteCheck
from callbacks.forecast_picture import ForecastPicture
from callbacks.gradient_flow import GradientFlow
from callbacks.prediction_table import PredictionTable
from callbacks.progress import Progress
from callbacks.warm_start import WarmStart
from callbacks.weight_average import WeightAverage

__all__ = [
    "BestCheckpoint",
    "Compile",
    "CpuBudget",
    "DivergedError",
    "DurableCheckpointIO",
    "ExactResume",
    "FasterPrecision",
    "FiniteCheck",
    "ForecastPicture",
    "GradientFlow",
    "LastCheckpoint",
    "PredictionTable",
    "Progress",
    "WarmStart",
    "WeightAverage",
]
