"""Counters, gauges and histograms in Prometheus' multi-process files, at an eighth of a microsecond per change.

The files are those of `prometheus_client` (`counter_WORKER.db`, `gauge_livesum_WORKER.db`, ...), laid out by its
`MmapedDict` and read by its `MultiProcessCollector`. Its own `Counter` and `Histogram` take a lock, ask for the process
id and pack two numbers at every change, which costs eight times as much; a worker has neither forks nor two threads
that change one value.
"""

import mmap
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Literal

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from lightning_app.serving.observability.gauge_files import forget_gauges

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
        self._files: dict[str, _ValueFile] = {}
        self._creating = Lock()
        forget_gauges(folder, worker)

    def counter(self, name: str, labels: Labels) -> "Cell":
        """A number that only grows, exposed as `NAME_total`; the same object for the same labels."""
        return self._cells("counter", name, [(f"{name}_total", labels)])[0]

    def gauge(self, name: str, labels: Labels, *, over_workers: Literal["sum", "min", "max"]) -> "Cell":
        """A number that is set, exposed as its sum, minimum or maximum over the live workers."""
        return self._cells(f"gauge_live{over_workers}", name, [(name, labels)])[0]

    def histogram(self, name: str, labels: Labels, *, bounds: Sequence[float]) -> "Histogram":
        """Observations counted by their size; `bounds` are the upper bounds of all buckets but the last."""
        buckets = [(f"{name}_bucket", {**labels, "le": floatToGoString(bound)}) for bound in (*bounds, float("inf"))]
        total, *counts = self._cells("histogram", name, [(f"{name}_sum", labels), *buckets])
        return Histogram(bounds=bounds, total=total, buckets=counts)

    def close(self) -> None:
        """Closes the files; the values stay in them."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _cells(self, kind: str, metric: str, samples: Sequence[tuple[str, Labels]]) -> "list[Cell]":
        help_text = self._help_texts[metric]
        keys = [mmap_key(metric, name, list(labels), list(labels.values()), help_text) for name, labels in samples]
        with self._creating:
            if kind not in self._files:
                self._files[kind] = _ValueFile(self._folder / f"{kind}_{self._worker}.db")
            return self._files[kind].cells(keys)


class Cell:
    """One number in a file; changed by one thread only."""

    __slots__ = ("_index", "_values")

    def __init__(self, values: "memoryview[float]", index: int) -> None:
        self._values = values
        self._index = index

    @property
    def value(self) -> float:
        """The number."""
        return float(self._values[self._index])

    def add(self, amount: float = 1.0) -> None:
        """Adds to the number."""
        self._values[self._index] += amount

    def set(self, value: float) -> None:
        """Replaces the number."""
        self._values[self._index] = value


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


class _ValueFile:
    """One file: `MmapedDict` makes the entries, and a mapping of our own changes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = MmapedDict(str(path))
        self._cells: dict[str, Cell] = {}

    def cells(self, keys: Sequence[str]) -> list[Cell]:
        new = {key for key in keys if key not in self._cells}
        if new:
            for key in keys:
                self._entries.read_value(key)
            # A file that has grown is mapped again; the former mapping shares its pages and stays valid.
            with self._path.open("r+b") as file:
                values = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
            for key, _, _, position in MmapedDict.read_all_values_from_file(str(self._path)):
                if key in new:
                    self._cells[key] = Cell(values, position // values.itemsize)
        return [self._cells[key] for key in keys]

    def close(self) -> None:
        self._entries.close()
