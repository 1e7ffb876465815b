"""Devices of concurrent trials: one group of GPUs per worker, or an equal share of the CPU threads."""

import ctypes
import os
from contextlib import suppress
from itertools import takewhile

from lightning_app.errors import UsageError


def make_devices(workers: int, devices_per_trial: int) -> list[dict[str, str]]:
    """The environment variables of each worker.

    Args:
        workers: Number of concurrent trials; if there are too few GPUs for all, they share them round-robin.
        devices_per_trial: GPUs of each trial.

    Raises:
        UsageError: There are GPUs, but fewer than a trial needs.
    """
    devices = visible_devices()
    if not devices:
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, num_cores() // workers))
        return [{"OMP_NUM_THREADS": threads} for _ in range(workers)]
    if devices_per_trial > len(devices):
        raise UsageError(f"devices-per-trial: {devices_per_trial} given, there are {len(devices)} GPUs")
    groups = [
        ",".join(devices[first : first + devices_per_trial])
        for first in range(0, len(devices) - devices_per_trial + 1, devices_per_trial)
    ]
    return [{"CUDA_VISIBLE_DEVICES": groups[index % len(groups)]} for index in range(workers)]


def visible_devices() -> list[str]:
    """GPUs as `CUDA_VISIBLE_DEVICES` names them; without that variable, as the driver counts them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        # As CUDA reads it: entries after the first invalid one are ignored.
        return list(takewhile(lambda device: device and not device.startswith("-"), given.split(",")))
    count = ctypes.c_uint(0)
    with suppress(OSError):  # no driver, no GPU
        driver = ctypes.CDLL("libnvidia-ml.so.1")
        if driver.nvmlInit_v2() == 0:
            driver.nvmlDeviceGetCount_v2(ctypes.byref(count))
            driver.nvmlShutdown()
    return [str(index) for index in range(count.value)]


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
