"""Files of gauges, which end with their worker; the supervisor needs no Prometheus to remove them."""

from pathlib import Path


def forget_gauges(folder: Path, worker: str) -> None:
    """Removes the gauges of a worker that is dead; its counters and histograms stay.

    Args:
        folder: Folder of the metrics of all workers.
        worker: Name of the worker.
    """
    for file in folder.glob(f"gauge_live*_{worker}.db"):
        file.unlink(missing_ok=True)
