"""Batch form: features of many rows at their points in time, as training and materialisation need them."""

from features.batch.fit import fit
from features.batch.history_at import history_at
from features.batch.reasons import REASONS, Reason
from features.batch.training_table import public_names, training_table

__all__ = ["REASONS", "Reason", "fit", "history_at", "public_names", "training_table"]
