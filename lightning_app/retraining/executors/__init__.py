"""Executors: where the training of a cycle runs."""

from lightning_app.retraining.executors.executor import Done, Executor, Failed, Handle, Job, Running, Status
from lightning_app.retraining.executors.open_executor import open_executor

__all__ = ["Done", "Executor", "Failed", "Handle", "Job", "Running", "Status", "open_executor"]
