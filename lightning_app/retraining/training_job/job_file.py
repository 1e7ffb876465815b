"""JobFile: what a training job does (`job.json`)."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from lightning_app.atomic_write import write_whole
from lightning_app.retraining.config.policy import SweepPolicy
from lightning_app.retraining.executors.executor import JOB


class JobFile(Struct, frozen=True, kw_only=True):
    """What a training job does; all paths are absolute.

    Attributes:
        model: Name of the model, and of its package.
        cycle_id: The cycle.
        attempt: The attempt.
        config: Config of the fit.
        rows_key: Key of the config that names the table of rows.
        rows: The table.
        overrides: Further keys of the config and their values.
        checkpoint: Checkpoint whose weights the fit starts from; None starts from random ones.
        start: What it starts from, in words.
        sweep: Search of hyper-parameters before the fit.
        runs: Folder of the runs, shared by the attempts, so that a later one goes on where an earlier one was killed.
        package: Folder of the package.
        working_folder: Folder that relative paths of the config are of.
    """

    model: str
    cycle_id: str
    attempt: int
    config: str
    rows_key: str
    rows: str
    overrides: dict[str, Any]
    checkpoint: str | None
    start: str
    sweep: SweepPolicy | None
    runs: str
    package: str
    working_folder: str


def write_job_file(folder: Path, job: JobFile) -> None:
    """Writes `job.json`.

    Args:
        folder: Folder of the attempt.
        job: The job.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / JOB, msgspec.json.format(msgspec.json.encode(job)).decode())


def read_job_file(folder: Path) -> JobFile:
    """Reads `job.json`.

    Args:
        folder: Folder of the attempt.
    """
    return msgspec.json.decode((folder / JOB).read_bytes(), type=JobFile)
