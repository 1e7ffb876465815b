import os
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import torch

import lightning_app  # noqa: F401  # before Lightning: defers imports that take longer than most tests

if TYPE_CHECKING:
    from tests.families import TrainedFamily

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

pytest_plugins = ["tests.selection"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-results", action="store_true", help="Store what tests/test_results.py compares.")


CONFIGS = Path(__file__).parent.parent / "configs"
EMPTY_PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""
DATA = Path(os.environ.get("LIGHTNING_APP_DATA", Path(__file__).parent.parent / "data")).resolve()


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in a folder of its own, tracks nothing, and finds published files where the user keeps them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("LIGHTNING_APP_DATA", str(DATA))
    monkeypatch.setattr("sys.argv", ["lightning-app"])
    monkeypatch.delenv("COLUMNS", raising=False)  # the test runner gives its own to parallel workers


@pytest.fixture
def rendered() -> None:
    """For a test about a picture: it is rendered as the user gets it."""


@pytest.fixture(autouse=True)
def _pictures_are_drawn_but_not_rendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves an empty picture in the place of each that is drawn: rendering takes longer than most tests."""
    if "rendered" in request.fixturenames or request.node.get_closest_marker("slow"):
        return

    def savefig(self: object, path: Path, **options: object) -> None:
        Path(path).write_bytes(EMPTY_PICTURE)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], TrainedFamily]":
    """Trained families by name: each is trained once per test run, whatever the number of processes."""
    from tests.families import trained_family

    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return lambda name: trained_family(name, shared)


def needs(file: str) -> pytest.MarkDecorator:
    """Skips a test by name where a published file is not on the machine."""
    return pytest.mark.skipif(not (DATA / file).exists(), reason=f"needs {file} below $LIGHTNING_APP_DATA")


needs_etth1 = needs("ett/ETTh1.csv")
needs_exchange = needs("exchange_rate/exchange_rate.csv")


def waves(rows: int = 400, channels: int = 2, period: int = 24) -> pl.DataFrame:
    """An hourly table with a season, a trend and noise."""
    rng = np.random.default_rng(0)
    steps = np.arange(rows)
    table = {
        f"c{index}": 10 * (index + 1)
        + np.sin(2 * np.pi * (steps + 3 * index) / period)
        + 0.002 * steps
        + 0.1 * rng.standard_normal(rows)
        for index in range(channels)
    }
    start = datetime(2024, 1, 1)
    return pl.DataFrame({"time": [start + timedelta(hours=int(step)) for step in steps], **table})


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    path = tmp_path / "waves.csv"
    waves().write_csv(path)
    return path


@pytest.fixture
def fit_args(tmp_path: Path, table_file: Path) -> Callable[..., list[str]]:
    """Arguments of a fit that takes a second: a phase transformer on a small table."""
    config = tmp_path / "small.yaml"
    config.write_text(SMALL.format(path=table_file))

    def args(*options: str, verb: str = "fit") -> list[str]:
        return [verb, "-c", str(config), "--run.root", str(tmp_path / "runs"), *options]

    return args


SMALL = """
seed_everything: 3
trainer:
  max_epochs: 2
  limit_train_batches: 5
  log_every_n_steps: 1
  accelerator: cpu
model:
  class_path: Forecaster
  init_args:
    network: {{class_path: PhaseTransformer, init_args: {{period: 24, hidden_size: 8, dropout: 0.2}}}}
    loss: torch.nn.L1Loss
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.004}}}}
    scheduler: OneCycle
data:
  class_path: ForecastingDataModule
  init_args:
    series: {{class_path: TableFile, init_args: {{path: {path}, time_column: time, frequency: 1h}}}}
    look_back: 48
    horizon: 12
    batch_size: 16
"""


@pytest.fixture
def stream_args(tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of a fit that takes a second: a small LSTM on streams of documents, gradients two chunks back."""
    rng = np.random.default_rng(0)
    for split, size in (("train", 700), ("val", 300)):
        words = rng.choice(["ab", "cde", "f ", "gh\n\n", "i"], size=size)
        (tmp_path / f"{split}.txt").write_text("".join(words))
    config = tmp_path / "stream.yaml"
    config.write_text(STREAM.format(folder=tmp_path))

    def args(*options: str, verb: str = "fit") -> list[str]:
        return [verb, "-c", str(config), "--run.root", str(tmp_path / "runs"), *options]

    return args


STREAM = """
seed_everything: 3
trainer:
  max_epochs: 2
  limit_train_batches: 5
  log_every_n_steps: 1
  accelerator: cpu
model:
  class_path: RecurrentLanguageModel
  init_args:
    encoder: {{class_path: LSTMEncoder, init_args: {{input_size: 6, hidden_size: 8, weight_drop: 0.1}}}}
    dropout: 0.1
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.02}}}}
    scheduler: OneCycle
data:
  class_path: TextStreamDataModule
  init_args:
    text:
      class_path: TextFiles
      init_args: {{train: {folder}/train.txt, val: {folder}/val.txt, separator: "\n\n"}}
    batch_size: 4
    chunk_size: 8
    window: 16
    shuffle: true
"""


def only_run(root: Path) -> Path:
    """The folder of the one run below a root."""
    (folder,) = (path.parent for path in root.glob("*/*/config.yaml"))
    return folder


def run_folders(root: Path) -> list[Path]:
    """Folders of all runs below a root, oldest first."""
    return sorted((path.parent for path in root.glob("*/*/config.yaml")), key=lambda path: path.name)


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a checkpoint."""
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights
