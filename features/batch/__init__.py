"""Batch form: features of many rows at their points in time, as training and materialisation need them."""

from features.batch.history_at import history_at
from features.batch.reasons import REASONS, Reason
from features.batch.training_table import training_table

__all__ = ["REASONS", "Reason", "history_at", "training_table"]
