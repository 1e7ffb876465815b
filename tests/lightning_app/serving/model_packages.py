"""Small real packages of every kind of body that a server takes."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from features.series.spec import SeriesSpec
from lightning_app.packaging import TensorSpec
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.packages import LABELS, manifest_of, onnx_model, package_of, small_package

LOOK_BACK, HORIZON, LEVELS = 48, 24, (0.1, 0.5, 0.9)


def model_packages(folder: Path) -> dict[str, Path]:
    """A perceptron with named columns, a classifier, a forecaster of raw rows, and a language model that streams text.

    Args:
        folder: Empty folder for the packages.
    """
    return {
        "prices": small_package(folder / "prices"),
        "sizes": small_package(folder / "sizes", labels=LABELS, name="sizes"),
        "load": series_package(folder / "load"),
        "letters": stream_package(folder / "letters"),
    }


def series_package(folder: Path) -> Path:
    """Forecasts the day before as it was, between quantiles that grow with the horizon; hourly raw rows.

    Args:
        folder: Where.
    """
    past = TensorSpec("past", "float32", ("batch", LOOK_BACK, 1), unit="as given", columns=("load",))
    forecast = TensorSpec(
        "forecast", "float32", ("batch", HORIZON, 1, len(LEVELS)), unit="as given", columns=("load",), levels=LEVELS
    )
    weight = np.zeros((LOOK_BACK, HORIZON, len(LEVELS)), dtype=np.float32)
    weight[np.arange(LOOK_BACK - 24, LOOK_BACK - 24 + HORIZON), np.arange(HORIZON)] = 1
    spread = np.linspace(0.5, 2, HORIZON)[:, None] * np.array([-1, 0, 1])
    nodes = [
        helper.make_node("Squeeze", ["past", "channel"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["day_before"]),
        helper.make_node("Add", ["day_before", "spread"], ["quantiles"]),
        helper.make_node("Reshape", ["quantiles", "shape"], ["forecast"]),
    ]
    constants = {
        "weight": weight.reshape(LOOK_BACK, -1),
        "spread": spread.astype(np.float32).reshape(-1),
        "channel": np.array([2]),
        "shape": np.array([-1, HORIZON, 1, len(LEVELS)]),
    }
    spec = SeriesSpec(
        time_column="time", targets=("load",), look_back=LOOK_BACK, horizon=HORIZON, frequency="1h", missing="fill"
    )
    columns = (
        RawColumn("time", "timestamp", "time", unit="ISO 8601"),
        RawColumn("load", "number", "target", unit="MW"),
    )
    manifest = manifest_of(
        inputs=[past],
        outputs=[forecast],
        name="load",
        family="forecasting",
        task="forecast",
        raw_input=RawInputSpec("series", "series.json", columns, LOOK_BACK, "rows, 1h apart, up to the forecast"),
    )
    hours = np.arange(LOOK_BACK)
    window = (50 + 10 * np.sin(2 * np.pi * hours / 24) + 0.05 * hours).astype(np.float32).reshape(1, LOOK_BACK, 1)
    return package_of(
        folder,
        manifest,
        onnx_model(nodes, [past], [forecast], constants),
        {"past": window},
        raw_input=spec.to_json(),
        reference={"origin": [datetime(2024, 6, 28, 23)], "past": window},
    )


def looping_package(folder: Path, **changes: Any) -> Path:
    """Answers the sum of two numbers; a number above 1,000 keeps it in a loop that never ends.

    Args:
        folder: Where.
        changes: Fields of the manifest that are to be other than they would be.
    """
    inputs = TensorSpec("features", "float32", ("batch", 2), columns=("a", "b"))
    output = TensorSpec("price", "float32", ("batch",))
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes_on"], ["still"]), helper.make_node("Add", ["row", "zero"], ["next"])],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("row", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["features"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "bound"], ["loops"]),
        helper.make_node("Loop", ["", "loops", "features"], ["same"], body=body),
        helper.make_node("ReduceSum", ["same", "axis"], ["price"], keepdims=0),
    ]
    constants = {"bound": np.float32(1000), "zero": np.float32(0), "axis": np.array([1])}
    manifest = manifest_of(inputs=[inputs], outputs=[output], name="sum", task="regression", **changes)
    request = {"features": np.array([[1, 2], [3, 4]], dtype=np.float32)}
    return package_of(folder, manifest, onnx_model(nodes, [inputs], [output], constants), request)
