"""One small trained run of each family, made once per test run and shared by all its processes: read, never written."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from lightning_app.__main__ import main
from tests.conftest import only_run, waves
from tests.graph_sets import draw_graphs, write_tables

HEAD = """
seed_everything: 3
trainer: {max_epochs: 2, limit_train_batches: 5, log_every_n_steps: 1, accelerator: cpu}
"""
FORECASTING = """
model:
  class_path: Forecaster
  init_args:
    network: {class_path: PhaseTransformer, init_args: {period: 24, hidden_size: 8, dropout: 0.2}}
    loss: torch.nn.L1Loss
    optimizer: {class_path: AdamW, init_args: {lr: 0.004}}
    scheduler: OneCycle
data:
  class_path: ForecastingDataModule
  init_args:
    series: {class_path: TableFile, init_args: {path: waves.csv, time_column: time, frequency: 1h}}
    look_back: 48
    horizon: 12
    batch_size: 16
card:
  intended_use: Tests.
  out_of_scope: Anything else.
  limitations: It knows waves alone.
  ethical_considerations: None.
  license: apache-2.0
"""
LANGUAGE_MODEL = r"""
model:
  class_path: RecurrentLanguageModel
  init_args:
    encoder: {class_path: LSTMEncoder, init_args: {input_size: 6, hidden_size: 8, weight_drop: 0.1}}
    dropout: 0.1
    optimizer: {class_path: AdamW, init_args: {lr: 0.02}}
    scheduler: OneCycle
data:
  class_path: TextStreamDataModule
  init_args:
    text: {class_path: TextFiles, init_args: {train: train.txt, val: val.txt, separator: "\n\n"}}
    batch_size: 4
    chunk_size: 8
    window: 16
    shuffle: true
"""
PUZZLE = """
model:
  class_path: PuzzleSolver
  init_args:
    network:
      class_path: TinyRecursiveModel
      init_args:
        {hidden_size: 16, input_size: 16, mixing: length, num_layers: 1, num_latent_updates: 2, num_recursions: 2}
    num_supervision_steps: 2
    optimizer: {class_path: AdamW, init_args: {lr: 0.001}}
data:
  class_path: SudokuDataModule
  init_args: {size: 4, num_train: 40, num_val: 20, num_test: 300, batch_size: 20}
"""
TRAJECTORY = """
model:
  class_path: TrajectoryForecaster
  init_args:
    encoder: {class_path: GRUEncoder, init_args: {input_size: 6, hidden_size: 8}}
    optimizer: {class_path: AdamW, init_args: {lr: 0.001}}
data:
  class_path: PanelDataModule
  init_args:
    panel: {class_path: PanelFile, init_args: {path: panel.parquet}}
    horizon: 10
    context: 100
    chunk_size: 16
    test_stride: 3
    batch_size: 2
"""
NODES = """
model:
  class_path: models.graph.NodeClassifier
  init_args:
    encoder: {class_path: models.graph.GCN, init_args: {hidden_size: 8}}
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args: {graph: datamodules.graph.KarateClub, split: datamodules.graph.RandomNodeSplit}
"""
LINKS = """
model:
  class_path: models.graph.LinkPredictor
  init_args:
    encoder: {class_path: models.graph.GCN, init_args: {output_size: 8, hidden_size: 8}}
    decoder: models.graph.CosineDecoder
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.LinkDataModule
  init_args:
    graph: datamodules.graph.KarateClub
    split: {class_path: datamodules.graph.RandomLinkSplit, init_args: {val: 0.1, test: 0.2}}
    steps_per_epoch: 4
"""
GRAPHS = """
model:
  class_path: models.graph.GraphPredictor
  init_args:
    encoder: {class_path: models.graph.GIN, init_args: {hidden_size: 8, num_layers: 2}}
    optimizer: {class_path: Adam, init_args: {lr: 0.01}}
data:
  class_path: datamodules.graph.GraphDataModule
  init_args:
    graphs:
      class_path: datamodules.graph.GraphSetTable
      init_args: {nodes: nodes.parquet, edges: edges.parquet, graphs: graphs.parquet, label: label}
    split: datamodules.graph.StratifiedFolds
    batch_size: 16
"""
TABULAR = """
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: {class_path: models.tabular.MLP, init_args: {hidden_size: 8, dropout: 0.2, embedding_size: 2}}
    task: models.tabular.Regression
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: features.yaml
    rows: shops.csv
    label: sold
    split: {class_path: datamodules.tabular.TimeSplit, init_args: {train: 0.6, val: 0.2}}
    batch_size: 32
"""
SHOP_FEATURES = """
entities:
  shop: {keys: {shop: str}}
sources:
  sales:
    time: date
    columns: {sold: {type: float, unit: pieces}}
views:
  day:
    entity: shop
    request:
      price: {type: float, unit: euros}
      stock: {type: float, unit: pieces}
      weather: {type: str}
    features:
      given_price: {kind: given, column: price}
      in_stock: {kind: given, column: stock}
      weather_class: {kind: vocabulary, column: weather}
      weekday: {kind: calendar, part: day_of_week, encoding: sin}
      usual_of_shop: {kind: target_encoding, columns: [shop], label: sold}
  past:
    source: sales
    entity: shop
    ttl: 30d
    features:
      last_sold: {kind: lag, column: sold}
      sold_of_week: {kind: aggregate, function: mean, column: sold, window: 7d}
labels:
  sold: {kind: column, column: sold, unit: pieces}
"""


def write_waves(folder: Path) -> None:
    waves().write_csv(folder / "waves.csv")


def write_texts(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, size in (("train", 700), ("val", 300)):
        words = rng.choice(["ab", "cde", "f ", "gh\n\n", "i"], size=size)
        (folder / f"{split}.txt").write_text("".join(words))


def write_panel(folder: Path) -> None:
    rng = np.random.default_rng(0)
    days = np.arange(400).astype("datetime64[D]")
    tables = [
        pl.DataFrame({"date": days, "ticker": name, "close": 100 * np.exp(0.01 * rng.standard_normal(400).cumsum())})
        for name in ("A", "B")
    ]
    pl.concat(tables).write_parquet(folder / "panel.parquet")


def write_graphs(folder: Path) -> None:
    write_tables(folder, draw_graphs(0, num_graphs=100, empty=(5,)))


def shop_days(days: int = 120) -> pl.DataFrame:
    """Sales of five shops by day; some prices and labels are missing, stocks never."""
    rng = np.random.default_rng(0)
    start = np.datetime64("2024-01-01")
    table = pl.DataFrame(
        {"date": [str(start + day) for day in range(days) for _ in range(5)], "shop": list("abcde") * days}
    )
    size = len(table)
    price, weather = rng.uniform(1, 3, size).round(2), rng.choice(["sun", "rain", "snow"], size)
    sold = 20 + 5 * np.tile(np.arange(5), days) - 4 * price + 3 * (weather == "sun") + rng.normal(0, 1, size)
    return table.with_columns(
        pl.Series("price", price).set(pl.Series(rng.random(size) < 0.1), None),
        pl.Series("stock", rng.uniform(50, 90, size).round(1)),
        pl.Series("weather", weather),
        pl.Series("sold", sold.round(2)).set(pl.Series(rng.random(size) < 0.02), None),
    )


def write_shops(folder: Path) -> None:
    (folder / "features.yaml").write_text(SHOP_FEATURES)
    shop_days().write_csv(folder / "shops.csv")


def write_nothing(folder: Path) -> None:
    pass


FAMILIES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "forecasting": (FORECASTING, write_waves),
    "language_model": (LANGUAGE_MODEL, write_texts),
    "puzzle": (PUZZLE, write_nothing),
    "trajectory": (TRAJECTORY, write_panel),
    "nodes": (NODES, write_nothing),
    "links": (LINKS, write_nothing),
    "graphs": (GRAPHS, write_graphs),
    "tabular": (TABULAR, write_shops),
}


@dataclass(frozen=True)
class TrainedFamily:
    """A finished fit and test.

    Attributes:
        folder: Holds data files, `config.yaml` over them, `runs`, and `package` once a test needed it.
    """

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def run(self) -> Path:
        return only_run(self.folder / "runs")

    @property
    def fitted(self) -> Path:
        """The run folder as the fit left it, before the test."""
        return self.folder / "fitted"

    @property
    def checkpoint(self) -> str:
        return str(self.run / "checkpoints/best.ckpt")

    @property
    def package(self) -> Path:
        """The package of the run, exported by the first test that needs it."""
        _once(self.folder / "package", lambda: _main("export", str(self.run), "--output", "package"))
        return self.folder / "package"


def trained_family(name: str, shared: Path) -> TrainedFamily:
    """Trains and tests a family, unless another process of this test run did.

    Args:
        name: A key of `FAMILIES`.
        shared: A folder that all processes of the test run see.
    """
    family = TrainedFamily(shared / f"family-{name}")

    def train() -> None:
        family.folder.mkdir()
        config, write_data = FAMILIES[name]
        write_data(family.folder)
        family.config.write_text(HEAD + config)
        os.chdir(family.folder)  # the config names files beside it
        _main("fit", "-c", "config.yaml")
        shutil.copytree(family.run, family.fitted)
        _main("test", "--ckpt_path", family.checkpoint)

    _once(family.folder, train)
    return family


def _main(*args: str) -> None:
    assert main(args) == 0, args


def _once(target: Path, make: Callable[[], None]) -> None:
    """Makes a folder while other processes wait; one that a failure left unfinished is made anew."""
    done = target.with_name(f"{target.name}.done")
    with FileLock(target.with_name(f"{target.name}.lock")):
        if done.exists():
            return
        shutil.rmtree(target, ignore_errors=True)
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("WANDB_MODE", "disabled")
            patch.setattr("sys.argv", ["lightning-app"])
            patch.chdir(target.parent)
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            make()
        done.touch()
