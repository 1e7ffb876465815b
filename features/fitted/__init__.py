"""Fitted features: constants learned from training rows, stored as data, applied by one code."""

from features.fitted.evaluate import TrainingRows, evaluate
from features.fitted.fitted import Fitted
from features.fitted.states import State

__all__ = ["Fitted", "State", "TrainingRows", "evaluate"]
