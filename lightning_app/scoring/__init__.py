"""Batch scoring: predictions of a package for every row of a table, in order and in constant memory."""

from lightning_app.scoring.job import RejectionBound, ScoreJob, ScoreResult

__all__ = ["RejectionBound", "ScoreJob", "ScoreResult"]
