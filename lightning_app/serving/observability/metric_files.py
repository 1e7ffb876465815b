"""Counters, gauges and histograms in Prometheus' multi-process files, at a quarter of a microsecond per change.

The files are those of `prometheus_client` (`counter_WORKER.db`, `gauge_livesum_WORKER.db`, ...), read by its
`MultiProcessCollector`. Its own `Counter` and `Histogram` take a lock and ask for the process id at every change, which
costs four times as much; a worker has neither forks nor two threads that change one value.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Literal

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

Labels = Mapping[str, str]


class MetricFiles:
    """The files of one worker.

    Counters and histograms of an earlier process of the same worker are continued; its gauges are forgotten.

    Args:
        folder: Folder that all workers share.
        worker: Name of the worker, unique among the live ones, without an underscore.
        help_texts: What each metric measures, by name.
    """

    def __init__(self, *, folder: Path, worker: str, help_texts: Mapping[str, str]) -> None:
        assert "_" not in worker, "the collector splits file names at underscores"
        self._folder = folder
        self._worker = worker
        self._help_texts = help_texts
        self._files: dict[str, MmapedDict] = {}
        self._cells: dict[tuple[str, str], Cell] = {}
        self._creating = Lock()
        forget_gauges(folder, worker)

    def counter(self, name: str, labels: Labels) -> "Cell":
        """A number that only grows, exposed as `NAME_total`; the same object for the same labels."""
        return self._cell("counter", name, f"{name}_total", labels)

    def gauge(self, name: str, labels: Labels, *, over_workers: Literal["sum", "min", "max"]) -> "Cell":
        """A number that is set, exposed as its sum, minimum or maximum over the live workers."""
        return self._cell(f"gauge_live{over_workers}", name, name, labels)

    def histogram(self, name: str, labels: Labels, *, bounds: Sequence[float]) -> "Histogram":
        """Observations counted by their size; `bounds` are the upper bounds of all buckets but the last."""
        return Histogram(
            bounds=bounds,
            total=self._cell("histogram", name, f"{name}_sum", labels),
            buckets=[
                self._cell("histogram", name, f"{name}_bucket", {**labels, "le": floatToGoString(bound)})
                for bound in (*bounds, float("inf"))
            ],
        )

    def close(self) -> None:
        """Closes the files; the values stay in them."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _cell(self, kind: str, metric: str, sample: str, labels: Labels) -> "Cell":
        key = mmap_key(metric, sample, list(labels), list(labels.values()), self._help_texts[metric])
        with self._creating:
            if (kind, key) not in self._cells:
                if kind not in self._files:
                    self._files[kind] = MmapedDict(str(self._folder / f"{kind}_{self._worker}.db"))
                self._cells[kind, key] = Cell(self._files[kind], key)
            return self._cells[kind, key]


def forget_gauges(folder: Path, worker: str) -> None:
    """Removes the gauges of a worker that is dead; its counters and histograms stay.

    Args:
        folder: Folder that all workers share.
        worker: Name of the worker.
    """
    for file in folder.glob(f"gauge_live*_{worker}.db"):
        file.unlink(missing_ok=True)


class Cell:
    """One number in a file; changed by one thread only."""

    __slots__ = ("_key", "_write", "value")

    def __init__(self, file: MmapedDict, key: str) -> None:
        self.value: float = file.read_value(key)[0]
        self._key = key
        self._write = file.write_value

    def add(self, amount: float = 1.0) -> None:
        """Adds to the number."""
        self.value = value = self.value + amount
        self._write(self._key, value, 0.0)

    def set(self, value: float) -> None:
        """Replaces the number."""
        self.value = value
        self._write(self._key, value, 0.0)


class Histogram:
    """Counts of observations by their size, and their sum; changed by one thread only.

    Args:
        bounds: Upper bounds of all buckets but the last, ascending.
        total: Sum of the observations.
        buckets: Counts, one more than bounds.
    """

    __slots__ = ("_bounds", "_buckets", "_total")

    def __init__(self, *, bounds: Sequence[float], total: Cell, buckets: Sequence[Cell]) -> None:
        self._bounds = tuple(bounds)
        self._total = total
        self._buckets = buckets

    def observe(self, value: float) -> None:
        """Counts one observation."""
        self._total.add(value)
        self._buckets[bisect_left(self._bounds, value)].add(1.0)
