"""Every shipped config runs: fit, test and predict, a few batches each."""

from pathlib import Path

import pytest
import torch
import yaml

from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.conftest import CONFIGS, DATA, run_folders

# They differ from another config in data, sizes or parts that other tests fit.
ALIKE = (
    "citeseer_appnp", "citeseer_link", "sudoku6_trm", "sudoku6_direct", "exchange_naive", "sp500_naive", "sp500_ridge",
    "etth1_ridge", "etth1_phase", "etth1_patch", "etth1_ensemble", "etth1_distilled", "proteins_structure_free",
    "words_lstm", "market_trm63", "adult", "california_housing",
)  # fmt: skip
EXPERIMENTS = sorted(
    path for family in ("forecasting", "recurrent", "graph", "tabular") for path in CONFIGS.glob(f"{family}/*.yaml")
)
PRESETS = sorted(CONFIGS.glob("trainer/*.yaml"))
FILES = {
    "etth1": "ett/ETTh1.csv",
    "exchange": "exchange_rate/exchange_rate.csv",
    "shakespeare": "tinyshakespeare/input.txt",
    "cora": "planetoid/Cora/raw/ind.cora.x",
    "citeseer": "planetoid/CiteSeer/raw/ind.citeseer.x",
    "proteins": "tudataset/PROTEINS.zip",
    "bike": "bike_sharing/hour.csv",
    "cdnow": "cdnow/CDNOW_sample.txt",
    "california": "california_housing/housing.csv",
    "adult": "adult/adult.data",
}
FEW = ("-c", str(CONFIGS / "trainer/debug.yaml"))
FEWER = (*FEW, "--trainer.limit_train_batches", "2", "--trainer.detect_anomaly", "false")


def skip_without_data(config: Path) -> None:
    file = FILES.get(config.stem.split("_")[0])
    if file is not None and not (DATA / file).exists():
        pytest.skip(f"needs {file} below $LIGHTNING_APP_DATA")


@pytest.mark.parametrize(
    "config",
    [pytest.param(path, marks=pytest.mark.slow if path.stem in ALIKE else (), id=path.stem) for path in EXPERIMENTS],
)
def test_every_experiment_fits_tests_and_predicts(config: Path) -> None:
    skip_without_data(config)
    options: list[str] = []
    if config.stem.endswith("ensemble"):
        for member in ("ridge", "linear"):
            assert main(["fit", "-c", str(config.with_name(f"etth1_{member}.yaml")), *FEWER]) == 0
        members = [str(folder / "checkpoints/best.ckpt") for folder in run_folders(Path("runs"))]
        options = ["--model.members", str(members)]
    if config.stem.endswith("distilled"):
        assert main(["fit", "-c", str(config.with_name("etth1_phase.yaml")), *FEWER]) == 0
        options = ["--model.teacher", str(run_folders(Path("runs"))[0])]
    assert main(["fit", "-c", str(config), *FEWER, *options]) == 0
    (checkpoint,) = Path("runs", config.stem).glob("*/checkpoints/best.ckpt")
    for verb, output in (("test", "report.md"), ("predict", "predictions.parquet")):
        assert main([verb, "--ckpt_path", str(checkpoint)]) == 0
        assert (checkpoint.parent.parent / output).exists()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_combines_with_an_experiment(preset: Path) -> None:
    config = CONFIGS / "forecasting/co2_phase.yaml"
    order = [str(config), str(preset)] if preset.stem == "fsdp" else [str(preset), str(config)]
    # Sharding needs GPUs; what is left of its preset on a CPU is that the config parses and the rest of it runs.
    cpu = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.strategy", "auto"]
    options = [] if preset.stem == "fsdp" and torch.cuda.is_available() else cpu
    cli = run(["fit", "-c", order[0], "-c", order[1], *FEW, *options])
    assert cli.trainer.global_step == 4
    given = yaml.safe_load(preset.read_text()).get("data", {}).get("init_args", {})
    assert given.items() <= cli.resolved["data"]["init_args"].items()
