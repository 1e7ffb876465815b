"""BlockingCommandExecutor: training by a command that runs until it has ended, such as `srun` or `ssh`."""

import os
from collections.abc import Sequence

from typing_extensions import override

from features.definitions.duration import seconds
from lightning_app.retraining.config.executor_config import CommandExecutorConfig
from lightning_app.retraining.executors.executor import Job, Status
from lightning_app.retraining.executors.filled import filled
from lightning_app.retraining.executors.local import LocalExecutor
from lightning_app.retraining.executors.unlisted import unlisted

_AS_OWNER = 'echo "$1 $$" > "$2.new" && mv "$2.new" "$2" && shift 2 && exec "$@"'
"""The shell says who it is, and becomes the command: there is no moment in which it runs and cannot be stopped."""


class BlockingCommandExecutor(LocalExecutor):
    """Runs a command as `LocalExecutor` runs a training; what it starts elsewhere has to end with it.

    Args:
        config: The command; without `poll` and `stop`.
    """

    owner_file = "command"  # the training says who it is in another one, perhaps on another machine

    def __init__(self, config: CommandExecutorConfig) -> None:
        assert config.poll is None
        super().__init__(ends_with_tick=config.wait)
        self._command, self._settle = config.start, seconds(config.settle)

    @override
    def words(self, job: Job, descriptor: int) -> Sequence[str]:
        owner = os.fspath(job.folder.parent / self.owner_file)
        command = [filled(word, job) for word in self._command]
        return ["/bin/sh", "-c", _AS_OWNER, "sh", str(job.attempt), owner, *command]

    @override
    def gone(self, job: Job) -> Status:
        return unlisted(job, settle=self._settle, words=f"{self._command[0]} has ended")
