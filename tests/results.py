"""Figures of a trained family: what a change of code that promises the same results must leave as they are."""

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from lightning_app.packaging import Package
from tests.conftest import load_weights
from tests.families import TrainedFamily

STORED = Path(__file__).with_suffix(".json")


def machine() -> str:
    """What the last bits of a result depend on: the release of torch, and the processor its kernels are chosen for."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return f"torch {torch.__version__}, {processor}, {torch.backends.cpu.get_cpu_capability()}"


def figures_of_run(family: TrainedFamily) -> dict[str, Any]:
    """Figures of a fit and its test.

    Returns:
        `values`: the metrics, and the norm of each weight tensor. `digest`: SHA-256 of the bits of all weights.
    """
    weights = {name: value.numpy() for name, value in load_weights(Path(family.checkpoint)).items()}
    norms = {f"norm of {name}": float(np.linalg.norm(value.astype(np.float64))) for name, value in weights.items()}
    metrics = json.loads((family.run / "metrics.json").read_text())
    return {"values": {**metrics, **norms}, "digest": _digest(weights)}


def figures_of_package(family: TrainedFamily) -> dict[str, Any]:
    """Figures of a package on its reference rows.

    Returns:
        `values`: the mean of each numeric output. `digest`: SHA-256 of the bits of all outputs.
    """
    outputs = Package.load(family.package).predict(pl.read_parquet(family.package / "reference.parquet"))
    columns = {name: outputs[name].explode().to_numpy() for name in sorted(outputs.columns)}
    means = {f"mean of {name}": float(value.mean()) for name, value in columns.items() if value.dtype.kind == "f"}
    return {"values": means, "digest": _digest(columns)}


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(value.tobytes() if value.dtype.kind != "O" else repr(value.tolist()).encode())
    return digest.hexdigest()
