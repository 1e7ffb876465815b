"""Every shipped config runs: fit, test and predict, a few batches each."""

from pathlib import Path

import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.conftest import CONFIGS, DATA, run_folders

EXPERIMENTS = sorted(CONFIGS.glob("forecasting/*.yaml"))
PRESETS = sorted(CONFIGS.glob("trainer/*.yaml"))
FILES = {"etth1": "ett/ETTh1.csv", "exchange": "exchange_rate/exchange_rate.csv"}
FEW = ("-c", str(CONFIGS / "trainer/debug.yaml"))


def skip_without_data(config: Path) -> None:
    file = FILES.get(config.stem.split("_")[0])
    if file is not None and not (DATA / file).exists():
        pytest.skip(f"needs {file} below $LIGHTNING_APP_DATA")


@pytest.mark.parametrize("config", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_fits_tests_and_predicts(config: Path) -> None:
    skip_without_data(config)
    options: list[str] = []
    if config.stem.endswith("ensemble"):
        for member in ("ridge", "linear"):
            assert main(["fit", "-c", str(config.with_name(f"etth1_{member}.yaml")), *FEW]) == 0
        members = [str(folder / "checkpoints/best.ckpt") for folder in run_folders(Path("runs"))]
        options = ["--model.members", str(members)]
    assert main(["fit", "-c", str(config), *FEW, *options]) == 0
    (checkpoint,) = Path("runs", config.stem).glob("*/checkpoints/best.ckpt")
    for verb, output in (("test", "report.md"), ("predict", "predictions.parquet")):
        assert main([verb, "--ckpt_path", str(checkpoint)]) == 0
        assert (checkpoint.parent.parent / output).exists()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_combines_with_an_experiment(preset: Path) -> None:
    config = CONFIGS / "forecasting/co2_phase.yaml"
    needs_gpu = preset.stem in ("gpu", "fsdp") and not torch.cuda.is_available()
    options = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.strategy", "auto"]
    if needs_gpu:
        options += ["--trainer.precision", "bf16-mixed"]
    elif preset.stem == "fsdp":
        options = ["--trainer.callbacks", "[]"]
    cli = run(["fit", "-c", str(preset), "-c", str(config), *FEW, *options])
    assert cli.trainer.global_step == 4
