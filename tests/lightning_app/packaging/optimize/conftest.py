"""One small transformer on a table that is long enough to tell packages apart, trained once for all tests."""

import os
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from tests.conftest import only_run, waves

CONFIG = """
seed_everything: 3
trainer: {{max_epochs: 2, limit_train_batches: 40, accelerator: cpu, enable_progress_bar: false}}
model:
  class_path: Forecaster
  init_args:
    network:
      class_path: PatchTransformer
      init_args:
        hidden_size: 32
        feed_forward_size: 128
        num_layers: 2
        num_heads: 4
        dropout: 0.1
        patch_size: 8
        stride: 4
        norm: {{class_path: ReversibleNorm, init_args: {{mode: std}}}}
    loss: torch.nn.L1Loss
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.004}}}}
    scheduler: OneCycle
data:
  class_path: ForecastingDataModule
  init_args:
    series: {{class_path: TableFile, init_args: {{path: {path}, time_column: time, frequency: 1h}}}}
    look_back: 48
    horizon: 6
    batch_size: 16
run: {{root: {root}, name: small, wandb: disabled}}
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `runs`, and `package`, the package of its one run."""
    folder = tmp_path_factory.mktemp("trained")
    waves(1000).write_csv(folder / "waves.csv")
    config = folder / "small.yaml"
    config.write_text(CONFIG.format(path=folder / "waves.csv", root=folder / "runs"))
    before = os.environ.get("WANDB_MODE")
    os.environ["WANDB_MODE"] = "disabled"
    try:
        assert main(["fit", "-c", str(config)]) == 0
        assert main(["export", str(only_run(folder / "runs")), "--output", str(folder / "package")]) == 0
    finally:
        if before is None:
            del os.environ["WANDB_MODE"]
        else:
            os.environ["WANDB_MODE"] = before
    return folder


@pytest.fixture
def run(trained: Path) -> str:
    """The run folder."""
    return str(next((trained / "runs/small").iterdir()))
