"""Executors of training: where it runs; `training.executor` of a policy."""

import string
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from features.definitions.duration import Duration
from lightning_app.errors import UsageError, nearest

Words = Annotated[tuple[str, ...], Meta(min_length=1)]
FIELDS = ("name", "folder", "cycle", "attempt")
"""What `$name` and so on stand for in commands: a name that is unique for the attempt, its folder, and both parts."""


class LocalExecutorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="local"):
    """Training as a process of this machine.

    Attributes:
        wait: Whether a tick waits until the training has ended, e.g. in a container that ends with the tick.
    """

    wait: bool = False


class CommandExecutorConfig(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="command"
):
    """Training by commands, e.g. of a cluster; what they start shares the folder of the cycles with the tick.

    It has to run `python -m lightning_app.retraining.training_job FOLDER`. Commands are words, without a shell; in them
    and in `input`, `$name`, `$folder`, `$cycle` and `$attempt` are filled in.

    Attributes:
        start: Starts the job, e.g. `sbatch --job-name=$name ...`; without `poll`, runs until the training has ended.
        poll: Prints something while the job named `$name` waits or runs, and nothing once it has ended.
        stop: Ends the job named `$name`; does nothing if there is none.
        input: File that `start` reads from its standard input, e.g. a Job of Kubernetes.
        settle: How long a job that is not listed may be without a result: queues and shared folders lag.
        timeout: How long a command may take; not `start` without `poll`.
        wait: Whether a tick waits until the training has ended.
    """

    start: Words
    poll: Words | None = None
    stop: Words | None = None
    input: str | None = None
    settle: Duration = "1m"
    timeout: Duration = "1m"
    wait: bool = False


class RayExecutorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="ray"):
    """Training as a job of a Ray cluster, whose nodes share the folder of the cycles with the tick.

    Attributes:
        address: Address of the cluster's dashboard, e.g. `http://head:8265`.
        entrypoint: Command of the job, for a shell; `$folder` and so on are filled in.
        runtime_env: Runtime environment of the job.
        num_cpus: CPUs that the entrypoint itself reserves.
        num_gpus: GPUs that it reserves.
        settle: How long an ended job may be without a result.
        wait: Whether a tick waits until the training has ended.
    """

    address: str
    entrypoint: str = "python -m lightning_app.retraining.training_job $folder"
    runtime_env: dict[str, Any] = {}
    num_cpus: Annotated[float, Meta(gt=0)] | None = None
    num_gpus: Annotated[float, Meta(gt=0)] | None = None
    settle: Duration = "1m"
    wait: bool = False


ExecutorConfig: TypeAlias = LocalExecutorConfig | CommandExecutorConfig | RayExecutorConfig


def check_executor(config: ExecutorConfig) -> None:
    """Raises unless the keys of an executor fit together.

    Args:
        config: The executor.

    Raises:
        UsageError: They do not; names the key.
    """
    if isinstance(config, CommandExecutorConfig) and (config.poll is None) != (config.stop is None):
        given = "poll" if config.stop is None else "stop"
        raise UsageError(f"training.executor: {given} given alone; a job that is not waited for needs poll and stop")
    if isinstance(config, CommandExecutorConfig) and config.input is not None and config.poll is None:
        raise UsageError("training.executor: input given without poll; a command that is waited for reads nothing")
    for key, text in _templates(config):
        for problem in _problems(text):
            raise UsageError(f"training.executor.{key}: {text!r}: {problem}")
    if isinstance(config, CommandExecutorConfig) and config.poll is not None:
        for key, words in (("poll", config.poll), ("stop", config.stop or ())):
            if not any("name" in string.Template(word).get_identifiers() for word in words):
                raise UsageError(f"training.executor.{key}: has no $name, by which the job is found")


def _templates(config: ExecutorConfig) -> Iterator[tuple[str, str]]:
    if isinstance(config, CommandExecutorConfig):
        for key, words in (("start", config.start), ("poll", config.poll), ("stop", config.stop)):
            yield from ((key, word) for word in words or ())
    elif isinstance(config, RayExecutorConfig):
        yield "entrypoint", config.entrypoint


def _problems(text: str) -> Iterable[str]:
    template = string.Template(text)
    if not template.is_valid():
        yield "a $ without a name; a dollar sign itself is $$"
        return
    for name in template.get_identifiers():
        if name not in FIELDS:
            yield f"no field ${name}{nearest(name, FIELDS)}; allowed: {', '.join(f'${field}' for field in FIELDS)}"
