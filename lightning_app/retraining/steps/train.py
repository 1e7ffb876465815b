"""Training: starts the job of an attempt where the executor runs it, and looks at it until it has ended."""

import time
from pathlib import Path
from typing import Any

import msgspec

from features.definitions.duration import seconds
from lightning_app.config.shipped_configs import find_config
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.executors import Done, Executor, Failed, Job, Running, open_executor
from lightning_app.retraining.executors.executor import JOB, minutes_alive
from lightning_app.retraining.frozen.frozen_set import TRAIN
from lightning_app.retraining.steps.budget import device_minutes_left
from lightning_app.retraining.steps.champion_checkpoint import champion_checkpoint
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Advance, Outcome, Repeat, Stop, Wait
from lightning_app.retraining.training_job.job_file import JobFile, read_job_file, write_job_file

_PAUSE = 1.0


def start_training(context: Context, cycle: Cycle) -> Outcome:
    """Starts the first attempt.

    Args:
        context: Of the tick.
        cycle: A cycle whose data are frozen.
    """
    handle = _start(context, cycle)
    start = read_job_file(_job(context, cycle).folder).start
    return Advance(state="training", words=f"attempt {cycle.attempt}, from {start}", facts={"handle": handle})


def follow_training(context: Context, cycle: Cycle) -> Outcome:
    """Looks at the attempt; starts another one where it failed.

    Args:
        context: Of the tick.
        cycle: A cycle that trains.
    """
    training, executor = context.policy.training, executor_of(context)
    job, handle = _job(context, cycle), cycle.facts.get("handle") or {}
    if not handle:  # an attempt that was counted, and not started yet
        return Repeat(kind="attempt", words=f"attempt {cycle.attempt}", facts={"handle": _start(context, cycle)})
    status = executor.poll(job, handle)
    deadline = min(float(handle["started"]), context.now) + seconds(training.deadline)
    left = device_minutes_left(context, running=minutes_alive(job.folder))
    if isinstance(status, Running) and context.now >= deadline:
        executor.stop(job, handle)
        status = _stopped(executor, job, handle, f"longer than the deadline of {training.deadline}")
    elif isinstance(status, Running) and left is not None and left <= 0:
        executor.stop(job, handle)
        return Stop(state="failed", reason="limits.device_minutes is used up", facts=_spent(cycle, job))
    if isinstance(status, Running):
        return Wait(words=f"attempt {cycle.attempt}: {status.words[:120]}", until=deadline)
    if isinstance(status, Failed):
        facts: dict[str, Any] = {**_spent(cycle, job, status.device_minutes), "handle": None}
        words = f"attempt {cycle.attempt} of {training.attempts} failed: {status.reason}"
        if cycle.attempt >= training.attempts:
            return Stop(state="failed", reason=words, facts=facts)
        return Repeat(kind="attempt", words=words, facts=facts, attempt=cycle.attempt + 1)
    result = msgspec.to_builtins(status.result)
    words = f"package {str(status.result.digest)[:12]} after {status.result.device_minutes:.1f} min"
    facts = {**_spent(cycle, job, status.result.device_minutes), "result": result, "digest": status.result.digest}
    return Advance(state="exported", words=words, facts=facts)


def wait_for_training(context: Context, cycle: Cycle) -> None:
    """Waits until the job has ended or is late, where the policy says so.

    Args:
        context: Of the tick.
        cycle: A cycle that trains.
    """
    job, handle = _job(context, cycle), cycle.facts.get("handle") or {}
    executor, begin = executor_of(context), time.monotonic()
    while isinstance(executor.poll(job, handle), Running):
        if time.monotonic() - begin > seconds(context.policy.training.deadline):
            return
        time.sleep(_PAUSE)


def stop_training(context: Context, cycle: Cycle) -> None:
    """Ends the job of a cycle that ends.

    Args:
        context: Of the tick.
        cycle: A cycle that trains.
    """
    job = _job(context, cycle)
    if job.folder.exists():  # else no attempt was begun
        executor_of(context).stop(job, cycle.facts.get("handle") or {})


def executor_of(context: Context) -> Executor:
    """The executor of the policy.

    Args:
        context: Of the tick.
    """
    return open_executor(context.policy.training.executor)


def _start(context: Context, cycle: Cycle) -> dict[str, object]:
    job = _job(context, cycle)
    if not (job.folder / JOB).exists():
        write_job_file(job.folder, _job_file(context, cycle))
    return {**executor_of(context).start(job), "started": context.now}


def _job_file(context: Context, cycle: Cycle) -> JobFile:
    training, folder = context.policy.training, context.folder(cycle)
    checkpoint, start = champion_checkpoint(context, cycle)
    return JobFile(
        model=cycle.model,
        cycle_id=cycle.cycle_id,
        attempt=cycle.attempt,
        config=str(Path(find_config(training.config)).resolve()),
        rows_key=training.rows,
        rows=str(folder / "frozen" / TRAIN),
        overrides=training.overrides,
        checkpoint=checkpoint,
        start=start,
        sweep=training.sweep,
        runs=str(folder / "run"),
        package=str(folder / "package"),
        working_folder=str(Path.cwd()),
    )


def _job(context: Context, cycle: Cycle) -> Job:
    folder = context.folder(cycle) / "job" / str(cycle.attempt)
    return Job(cycle_id=cycle.cycle_id, attempt=cycle.attempt, folder=folder)


def _spent(cycle: Cycle, job: Job, minutes: float | None = None) -> dict[str, Any]:
    """Minutes of all attempts."""
    this = minutes_alive(job.folder) if minutes is None else minutes
    return {"device_minutes": cycle.facts.get("device_minutes", 0.0) + this}


def _stopped(executor: Executor, job: Job, handle: dict[str, object], words: str) -> Done | Failed:
    """What came of a job that was stopped; it may have ended by itself in the last moment."""
    status = executor.poll(job, handle)
    if isinstance(status, Done):
        return status
    minutes = status.device_minutes if isinstance(status, Failed) else minutes_alive(job.folder)
    return Failed(reason=words, device_minutes=minutes)
