"""Executors: where the training of a cycle runs."""

from lightning_app.retraining.executors.executor import Done, Executor, Failed, Handle, Job, Running, Status
from lightning_app.retraining.executors.local import LocalExecutor

__all__ = ["Done", "Executor", "Failed", "Handle", "Job", "LocalExecutor", "Running", "Status"]
