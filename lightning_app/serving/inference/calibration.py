"""Calibration: measures a loaded model on batches of growing size, and plans how requests are batched."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lightning_app.packaging.runtime.values import Values
from lightning_app.serving.config.serve_config import Batching

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_BUDGET = 0.15
"""Seconds that the measurement of a model may take."""
_REPEATS = 5
_LONGEST_CALL = 0.025
"""No batch is planned that takes longer, in seconds, unless a single row does."""
_WORTHWHILE = 0.8
"""Batching is on if a row costs at most this share of what it costs alone."""
_BEST = 1.1
"""The smallest batch is taken whose cost per row is within this factor of the best."""
_ON_LOOP = 0.003
"""Calls up to this length, in seconds, run on the event loop: a thread costs more than it hides."""
_SLOW = 0.005
"""A model that takes this long for one row, in seconds, is worth a wait for a second request."""
_WAIT = 0.1
"""Share of that time that a request may wait."""


@dataclass(frozen=True)
class BatchPlan:
    """How requests of a model are batched.

    Attributes:
        max_rows: Rows of a call; 1 answers each request by itself.
        window_ms: How long the first request waits for others, in milliseconds.
        in_thread: Whether calls run in a thread beside the event loop.
        curve: Rows of a call to its measured seconds.
        largest: How many times as long a row may take, if rows differ in size, as the one that was measured.
    """

    max_rows: int
    window_ms: float = 0.0
    in_thread: bool = False
    curve: Mapping[int, float] | None = None
    largest: float = 1.0

    def seconds_of(self, num_rows: int) -> float:
        """Seconds that a call takes, from those that were measured; 0 if none were.

        Args:
            num_rows: Rows of the call.
        """
        if not self.curve:
            return 0.0
        largest = max(self.curve)
        fitting = [size for size in self.curve if size >= num_rows]
        return self.curve[min(fitting)] if fitting else self.curve[largest] * num_rows / largest


def plan_batches(
    call: Callable[[Mapping[str, Values]], object],
    row: Mapping[str, Values],
    wanted: Literal["auto", "off"] | Batching,
    *,
    largest: Mapping[str, Values] | None = None,
) -> BatchPlan:
    """Measures calls of growing size, and plans batches.

    Args:
        call: Asks the model with checked values.
        row: Values of a single row.
        wanted: What the user configured.
        largest: Values of a row as large as rows may be; None if all have one size.

    Returns:
        The plan. A wait is planned only for slow models that gain from it, and never longer than a tenth of a call.
    """
    curve = _measure(call, row, _SIZES if wanted == "auto" else (1,))
    if isinstance(wanted, Batching):
        plan = BatchPlan(wanted.max_rows, wanted.window_ms, curve=curve)
    elif wanted == "off":
        plan = BatchPlan(1, curve=curve)
    else:
        plan = _planned(curve)
    longest = curve[max(size for size in curve if size <= plan.max_rows)]
    times = 1.0 if largest is None else max(1.0, _measure(call, largest, (1,))[1] / curve[1])
    return replace(plan, in_thread=longest * times > _ON_LOOP, largest=times)


def _planned(curve: Mapping[int, float]) -> BatchPlan:
    per_row = {size: seconds / size for size, seconds in curve.items() if size == 1 or seconds <= _LONGEST_CALL}
    best = min(per_row.values())
    if best > _WORTHWHILE * per_row[1]:
        return BatchPlan(1, curve=curve)
    size = min(size for size, cost in per_row.items() if cost <= _BEST * best)
    waits = curve[1] > _SLOW and per_row.get(2, curve[1]) < _WORTHWHILE * curve[1]
    return BatchPlan(size, 1000 * _WAIT * curve[1] if waits else 0.0, curve=curve)


def _measure(
    call: Callable[[Mapping[str, Values]], object], row: Mapping[str, Values], sizes: Sequence[int]
) -> dict[int, float]:
    """Shortest of a few calls of each size, as long as the time allows."""
    curve: dict[int, float] = {}
    end = time.perf_counter() + _BUDGET
    call(row)  # the first call allocates
    for size in sizes:
        values = {name: _repeated(value, size) for name, value in row.items()}
        seconds = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            call(values)
            seconds.append(time.perf_counter() - started)
            if time.perf_counter() > end:
                break
        curve[size] = min(seconds)
        if time.perf_counter() > end:
            break
    return curve


def _repeated(value: Values, size: int) -> Values:
    return np.repeat(value, size, axis=0) if isinstance(value, np.ndarray) else list(value) * size
