"""Memory and CPU time of the live workers, read from /proc when Prometheus asks."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def process_metrics(workers: Mapping[str, int]) -> Iterator[Metric]:
    """Metrics of processes; nothing of one that has just ended, and nothing on systems without /proc.

    Args:
        workers: Process id by name of the worker.
    """
    memory = GaugeMetricFamily(
        "lightning_app_worker_resident_memory_bytes", "Resident memory of a worker.", labels=["worker"]
    )
    cpu = CounterMetricFamily("lightning_app_worker_cpu_seconds", "CPU time of a worker process.", labels=["worker"])
    for worker, process in workers.items():
        folder = Path(f"/proc/{process}")
        try:
            pages = int((folder / "statm").read_text().split()[1])
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        memory.add_metric([worker], pages * _PAGE)
        cpu.add_metric([worker], (int(fields[11]) + int(fields[12])) / _TICKS)  # user and system
    yield memory
    yield cpu
