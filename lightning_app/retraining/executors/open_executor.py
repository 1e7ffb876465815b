"""Opening of executors by their configuration."""

from lightning_app.retraining.config.executor_config import CommandExecutorConfig, ExecutorConfig, LocalExecutorConfig
from lightning_app.retraining.executors.blocking_command import BlockingCommandExecutor
from lightning_app.retraining.executors.command import CommandExecutor
from lightning_app.retraining.executors.executor import Executor
from lightning_app.retraining.executors.local import LocalExecutor
from lightning_app.retraining.executors.ray_job import RayExecutor


def open_executor(config: ExecutorConfig) -> Executor:
    """The executor of a policy.

    Args:
        config: A configuration that was checked.

    Raises:
        UsageError: What it needs is not installed.
    """
    if isinstance(config, LocalExecutorConfig):
        return LocalExecutor(ends_with_tick=config.wait)
    if isinstance(config, CommandExecutorConfig):
        return BlockingCommandExecutor(config) if config.poll is None else CommandExecutor(config)
    return RayExecutor(config)
