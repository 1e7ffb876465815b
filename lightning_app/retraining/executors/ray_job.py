"""RayExecutor: training as a job of a Ray cluster, through its job server."""

import time
from typing import Any

from typing_extensions import override

from features.definitions.duration import seconds
from lightning_app.errors import UsageError
from lightning_app.retraining.config.executor_config import RayExecutorConfig
from lightning_app.retraining.executors.executor import Executor, Handle, Job, Running, Status, read_result
from lightning_app.retraining.executors.filled import filled, name_of
from lightning_app.retraining.executors.unlisted import listed, unlisted

_STOP_SECONDS = 60.0
_PAUSE = 0.5


class RayExecutor(Executor):
    """Runs a job under its own name, which Ray takes once.

    Args:
        config: Cluster and entrypoint.

    Raises:
        UsageError: Ray is not installed.
    """

    def __init__(self, config: RayExecutorConfig) -> None:
        try:
            import ray.job_submission  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "training.executor: kind ray needs Ray's job client: pip install 'ray[default]'"
            ) from error
        self._config, self._client = config, None

    @override
    def start(self, job: Job) -> Handle:
        name = name_of(job)
        handle: Handle = {"name": name, "started": time.time()}
        if read_result(job.folder) is not None or self._status(name) is not None:
            return handle
        if job.attempt > 1 and self._runs(name_of(job, attempt=job.attempt - 1)):
            raise OSError(f"an earlier attempt of cycle {job.cycle_id} still runs")
        config = self._config
        try:
            self._connected().submit_job(
                entrypoint=filled(config.entrypoint, job),
                submission_id=name,
                runtime_env=config.runtime_env or None,
                entrypoint_num_cpus=config.num_cpus,
                entrypoint_num_gpus=config.num_gpus,
            )
        except (RuntimeError, ValueError) as error:
            raise OSError(f"Ray did not take the job {name}: {_line(error)}") from error
        return handle

    @override
    def poll(self, job: Job, handle: Handle) -> Status:
        if (status := read_result(job.folder)) is not None:
            return status
        name = name_of(job)
        try:
            state = self._status(name)
        except OSError as error:  # a cluster that is away for a while does not end a job
            return Running(words=f"it is not known whether it runs: {error}")
        if state is not None and not state.is_terminal():
            listed(job)
            return Running(words=f"{name} is {state.value.lower()}")
        words = f"the job {name} is {'not known to Ray' if state is None else state.value.lower()}"
        return unlisted(job, settle=seconds(self._config.settle), words=words)

    @override
    def stop(self, job: Job, handle: Handle) -> None:
        name, until = name_of(job), time.monotonic() + _STOP_SECONDS
        if not self._runs(name):
            return
        try:
            self._connected().stop_job(name)
        except RuntimeError as error:
            raise OSError(f"Ray did not stop the job {name}: {_line(error)}") from error
        while self._runs(name):
            if time.monotonic() > until:
                raise OSError(f"the job {name} still runs {_STOP_SECONDS:g} s after it was stopped")
            time.sleep(_PAUSE)

    def _runs(self, name: str) -> bool:
        state = self._status(name)
        return state is not None and not state.is_terminal()

    def _status(self, name: str) -> Any:
        """State of a job; None if Ray does not know it.

        Raises:
            OSError: The cluster cannot be asked.
        """
        try:
            return self._connected().get_job_status(name)
        except RuntimeError as error:
            if "does not exist" in str(error):
                return None
            raise OSError(f"Ray at {self._config.address}: {_line(error)}") from error

    def _connected(self) -> Any:
        """The client; a new one after a failure.

        Raises:
            OSError: The cluster cannot be reached.
        """
        from ray.job_submission import JobSubmissionClient

        if self._client is None:
            try:
                self._client = JobSubmissionClient(self._config.address)
            except (ConnectionError, RuntimeError) as error:
                raise OSError(f"Ray at {self._config.address} cannot be reached: {_line(error)}") from error
        return self._client


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
