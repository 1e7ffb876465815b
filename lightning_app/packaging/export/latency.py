"""How long a package takes to answer, on the machine that exports it."""

import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from lightning_app.packaging.export.exporter import Arrays, take
from lightning_app.packaging.predictor import Predictor

BATCH_SIZES = (1, 8)
_SECONDS = 0.3
_FEWEST, _MOST = 5, 200


def measure_latency(predictor: Predictor, request: Arrays, *, num_threads: int = 1) -> dict[str, Any]:
    """Median time of a call by batch size, in milliseconds, with what was measured.

    Args:
        predictor: What answers.
        request: Rows to ask; they are repeated where there are too few.
        num_threads: Of the predictor.
    """
    total = len(next(iter(request.values())))
    medians = {}
    for size in BATCH_SIZES:
        asked = take(request, np.arange(size) % total)
        predictor.predict(asked)
        times: list[float] = []
        end = time.perf_counter() + _SECONDS
        while len(times) < _FEWEST or (time.perf_counter() < end and len(times) < _MOST):
            start = time.perf_counter()
            predictor.predict(asked)
            times.append(1e3 * (time.perf_counter() - start))
        medians[str(size)] = round(float(np.median(times)), 4)
    return {"threads": num_threads, "p50_ms": medians, "machine": f"{_processor()}, {os.cpu_count()} cores"}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
