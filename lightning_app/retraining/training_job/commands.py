"""Commands of a training job, as words for `lightning-app`."""

import json
from pathlib import Path

from lightning_app.retraining.training_job.job_file import JobFile
from lightning_app.runs.run_folder import newest_runs

_WARM = "callbacks.WarmStart"


def sweep_words(job: JobFile) -> list[str]:
    """The search of hyper-parameters; one that was killed goes on.

    Args:
        job: The job.
    """
    assert job.sweep is not None
    return [
        "sweep", "-c", job.config, "--space", job.sweep.space, "--trials", str(job.sweep.trials),
        "--workers", str(job.sweep.workers), "--root", job.runs, "--study", job.model,
        *(["--resume"] if sweep_folder(job).exists() else []), "--", *_data_words(job),
    ]  # fmt: skip


def sweep_folder(job: JobFile) -> Path:
    """Folder of the search.

    Args:
        job: The job.
    """
    return Path(job.runs) / "sweeps" / job.model


def fit_words(job: JobFile) -> list[str]:
    """The fit; one that was killed goes on.

    Args:
        job: The job.
    """
    config = job.config if job.sweep is None else str(sweep_folder(job) / "best.yaml")
    warm = []
    if job.checkpoint is not None:
        warm = [f"--trainer.callbacks+={_WARM}", f"--trainer.callbacks.checkpoint={job.checkpoint}"]
    return [
        "fit", "-c", config, "--run.root", job.runs, "--run.name", job.model, "--ckpt_path", "last", *warm,
        *_data_words(job),
    ]  # fmt: skip


def export_words(job: JobFile, run: Path) -> list[str]:
    """The export of a run.

    Args:
        job: The job.
        run: Folder of the run.
    """
    return ["export", str(run), "--output", job.package, "--name", job.model, "--overwrite"]


def fitted_run(job: JobFile) -> Path | None:
    """Folder of the newest run that has a checkpoint; None without one.

    Args:
        job: The job.
    """
    runs = newest_runs(job.runs, job.model, "best") or newest_runs(job.runs, job.model, "last")
    return runs[-1].path if runs else None


def _data_words(job: JobFile) -> list[str]:
    values = {"run.wandb": "disabled", **job.overrides, job.rows_key: job.rows}
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]
