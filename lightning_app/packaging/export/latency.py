"""Latency of packages: median wall time of a call by batch size, on the machine that makes the package."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_app.packaging.export.batches import Arrays, take
from lightning_app.packaging.runtime.predictor import Predictor

BATCH_SIZES = (1, 8)


def measure_latency(
    predictors: Sequence[Predictor],
    request: Arrays,
    *,
    seconds: float = 0.3,
    min_calls: int = 5,
    max_calls: int = 200,
) -> list[dict[str, float]]:
    """Median time of a call by batch size, in milliseconds, for each of several predictors.

    They are asked in turns, one call each, so that whatever else the machine does slows all of them alike.

    Args:
        predictors: With the same inputs.
        request: Rows to ask; they are repeated where there are too few.
        seconds: Wall time to spend on each batch size.
        min_calls: Calls of each predictor, even if they take longer.
        max_calls: Calls of each predictor after which to stop early.
    """
    medians: list[dict[str, float]] = [{} for _ in predictors]
    num_rows = len(next(iter(request.values())))
    for size in BATCH_SIZES:
        batch = take(request, np.arange(size) % num_rows)
        times: list[list[float]] = [[] for _ in predictors]
        for predictor in predictors:
            predictor.predict(batch)
        end = time.perf_counter() + seconds
        while len(times[0]) < min_calls or (time.perf_counter() < end and len(times[0]) < max_calls):
            for predictor, measured in zip(predictors, times, strict=True):
                start = time.perf_counter()
                predictor.predict(batch)
                measured.append(1e3 * (time.perf_counter() - start))
        for by_size, measured in zip(medians, times, strict=True):
            by_size[str(size)] = round(float(np.median(measured)), 4)
    return medians


def latency_entry(p50_ms: Mapping[str, float], *, num_threads: int = 1) -> dict[str, Any]:
    """`latency` of a manifest.

    Args:
        p50_ms: Of the package itself, as `measure_latency` returns it.
        num_threads: Of the predictor that was measured.
    """
    return {"threads": num_threads, "p50_ms": dict(p50_ms), "machine": f"{_processor()}, {os.cpu_count()} cores"}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
