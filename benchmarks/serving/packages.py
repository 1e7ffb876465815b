"""Packages that are served: a small perceptron, one of 2.1 million parameters, and a forecaster of raw rows."""

import itertools
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from onnx import helper

from benchmarks.measure import ROOT
from lightning_app.packaging import Manifest, TensorSpec
from tests.packages import LABELS, manifest_of, onnx_model, package_of, small_package

FEATURES = 32
HIDDEN, WIDE, LAYERS = 128, 1024, 3
LOOK_BACK, CHANNELS = 504, 7


def small(folder: Path) -> Path:
    """32 -> 128 -> 3, a softmax at the end."""
    return small_package(folder, name="small", columns=None, num_features=FEATURES, hidden_size=HIDDEN, labels=LABELS)


def wide(folder: Path) -> Path:
    """32 -> 1024 -> 1024 -> 1024 -> 3: 2.1 million parameters."""
    rng = np.random.default_rng(0)
    widths = [FEATURES, *[WIDE] * LAYERS, len(LABELS)]
    weights = {
        f"w{layer}": (rng.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)
        for layer, shape in enumerate(itertools.pairwise(widths))
    }
    nodes, source = [], "features"
    for layer, name in enumerate(weights):
        nodes.append(helper.make_node("MatMul", [source, name], [f"product{layer}"]))
        source = f"hidden{layer}"
        if layer < LAYERS:
            nodes.append(helper.make_node("Relu", [f"product{layer}"], [source]))
    nodes.append(helper.make_node("Softmax", [f"product{LAYERS}"], ["probabilities"], axis=-1))
    inputs = [TensorSpec(name="features", dtype="float32", shape=("batch", FEATURES))]
    outputs = [TensorSpec(name="probabilities", dtype="float32", shape=("batch", len(LABELS)))]
    manifest = manifest_of(inputs=inputs, outputs=outputs, name="wide", task="classification", labels=LABELS)
    request = {"features": rng.standard_normal((4, FEATURES)).astype(np.float32)}
    return package_of(folder, manifest, onnx_model(nodes, inputs, outputs, weights), request)


def forecaster(folder: Path) -> Path:
    """A phase transformer with a look-back of 504 rows of 7 columns; trained for a moment, its speed is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    config = str(ROOT / "configs" / "forecasting" / "etth1_phase.yaml")
    short = ("--run.root", str(folder / "runs"), "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "5")
    for words in (
        ("fit", "-c", config, *short),
        ("export", "best", "-c", config, "--output", str(folder / "package"), "--", *short[:2]),
    ):
        subprocess.run(
            [sys.executable, "-m", "lightning_app", *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
            env={**os.environ, "WANDB_MODE": "disabled"},
        )  # fmt: skip
    return folder / "package"


def one_row() -> dict[str, dict[str, list[list[float]]]]:
    """One row of 32 floats."""
    row = np.random.default_rng(1).standard_normal(FEATURES).round(4).tolist()
    return {"columns": {"features": [row]}}


def raw_rows(package: Path) -> pl.DataFrame:
    """504 hourly rows with the columns that the forecaster takes."""
    spec = Manifest.read(package).raw_input
    assert spec is not None
    rng = np.random.default_rng(2)
    hours = [datetime(2018, 1, 1) + timedelta(hours=hour) for hour in range(LOOK_BACK)]
    numbers = {
        column.name: (10 + rng.standard_normal(LOOK_BACK).cumsum()).round(3)
        for column in spec.columns
        if column.type == "number"
    }
    (time,) = [column.name for column in spec.columns if column.type == "timestamp"]
    return pl.DataFrame({time: hours, **numbers})
