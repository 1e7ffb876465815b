"""Fitted features: constants learned from training rows, stored as data, applied by one code."""

from features.fit.evaluate import TrainingRows, evaluate
from features.fit.fitted import Fitted
from features.fit.states import State

__all__ = ["Fitted", "State", "TrainingRows", "evaluate"]
