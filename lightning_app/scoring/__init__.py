"""A package over tables: predictions for every row, in order, in constant memory."""

from lightning_app.scoring.job import RejectionBound, ScoreJob, ScoreResult

__all__ = ["RejectionBound", "ScoreJob", "ScoreResult"]
