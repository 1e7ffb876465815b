"""Linear world: months of hourly rows, linear models fitted to them as packages, and how good each model really is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import helper, numpy_helper

from lightning_app.packaging import Manifest, Package, Predictor, TensorSpec

WIDTH, HOURS = 8, 720
COLUMNS = tuple(f"x{number}" for number in range(WIDTH))
_NOISE = 1.0
_SLOW = 0.9
"""Autocorrelation of half of the columns and of the noise from hour to hour."""


@dataclass(frozen=True)
class LinearModel:
    """A model of the world.

    Attributes:
        weights: Weights that were fitted.
        package: The package that answers with them.
    """

    weights: np.ndarray
    package: Package

    def risk(self, truth: np.ndarray) -> float:
        """Expected absolute error, known exactly.

        Args:
            truth: Weights of the world.
        """
        return float(np.sqrt((_NOISE**2 + ((truth - self.weights) ** 2).sum()) * 2 / np.pi))


class LinearWorld:
    """Rows `y = x w + noise`, whose columns and noise depend on those of the hour before.

    Args:
        seed: Random seed.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._slow, self._noise = self._random.standard_normal(WIDTH // 2), float(self._random.standard_normal())
        self.truth = self._random.standard_normal(WIDTH) / np.sqrt(WIDTH)

    def drift(self, growth: float) -> None:
        """Moves the weights so far that the error of a model that was exact grows by a share.

        Args:
            growth: The share.
        """
        direction = self._random.standard_normal(WIDTH)
        self.truth = self.truth + _NOISE * np.sqrt((1 + growth) ** 2 - 1) * direction / np.linalg.norm(direction)

    def month(self) -> pl.DataFrame:
        """Rows of the next month."""
        scale = np.sqrt(1 - _SLOW**2)
        steps = scale * self._random.standard_normal((HOURS, WIDTH // 2 + 1))
        slow = np.empty((HOURS, WIDTH // 2 + 1))
        before = np.append(self._slow, self._noise)
        for hour in range(HOURS):
            before = slow[hour] = _SLOW * before + steps[hour]
        self._slow, self._noise = slow[-1, :-1], float(slow[-1, -1])
        rows = np.hstack([slow[:, :-1], self._random.standard_normal((HOURS, WIDTH - WIDTH // 2))]).astype(np.float32)
        labels = rows @ self.truth + _NOISE * slow[:, -1]
        return pl.DataFrame(dict(zip(COLUMNS, rows.T, strict=True))).with_columns(pl.Series("y", labels))


def fit(months: list[pl.DataFrame]) -> LinearModel:
    """Least squares on some months.

    Args:
        months: The rows.
    """
    table = pl.concat(months)
    weights = np.linalg.lstsq(table.select(COLUMNS).to_numpy(), table["y"].to_numpy(), rcond=None)[0]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ("batch", WIDTH))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ("batch",))],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    predictor = Predictor(manifest=_MANIFEST, model=model.SerializeToString())
    return LinearModel(weights, Package(path=Path(), digest=str(hash(weights.tobytes())), predictor=predictor))


_MANIFEST = Manifest(
    name="linear",
    family="tabular",
    task="regression",
    layout="rows",
    inputs=(TensorSpec(name="features", dtype="float32", shape=("batch", WIDTH), columns=COLUMNS),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("batch",)),),
    metrics={"split": "test", "protocol": {}, "rows": 0, "values": {}, "better": {}},
    slices={},
    lineage={},
    parity={},
    latency={},
    card={"complete": True, "missing": []},
)
