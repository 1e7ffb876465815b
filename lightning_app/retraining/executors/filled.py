"""Fields of commands: `$name`, `$folder`, `$cycle` and `$attempt` of a job."""

import string

from lightning_app.retraining.executors.executor import Job


def name_of(job: Job, *, attempt: int | None = None) -> str:
    """Name of a job, fit for queues and clusters.

    Args:
        job: The job.
        attempt: Another attempt of the same cycle.
    """
    return f"retrain-{job.cycle_id}-{attempt or job.attempt}"


def filled(text: str, job: Job, *, attempt: int | None = None) -> str:
    """A text with its fields filled.

    Args:
        text: A template that was checked with the policy.
        job: The job.
        attempt: Another attempt of the same cycle.
    """
    number = attempt or job.attempt
    fields = {
        "name": name_of(job, attempt=number),
        "folder": str(job.folder.parent / str(number)),
        "cycle": job.cycle_id,
        "attempt": str(number),
    }
    return string.Template(text).substitute(fields)
