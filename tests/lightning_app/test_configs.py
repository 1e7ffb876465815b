"""Every shipped config runs: fit, test and predict, a few batches each."""

from pathlib import Path

import pytest
import torch
import yaml

from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.conftest import CONFIGS, DATA, run_folders, waves
from tests.tiny_encoder import tiny_encoder

# They differ from another config in data, sizes or parts that other tests fit.
ALIKE = (
    "citeseer_appnp", "citeseer_link", "sudoku6_trm", "sudoku6_direct", "exchange_naive", "sp500_naive", "sp500_ridge",
    "etth1_ridge", "etth1_phase", "etth1_patch", "etth1_itransformer", "etth1_nhits", "etth1_nbeats", "etth1_tide",
    "etth1_tft", "etth1_deepar", "etth1_ensemble",
    "etth1_distilled", "etth1_mlp", "etth1_linear", "etth1_linear_separate",
    "sp500_patch", "co2_seasonal", "cdnow", "mqar_delta", "topics_gru",
    "market_lstm63", "cora_gat", "cora_appnp", "cora_gcnii", "cora_link", "cora_links_seal", "digits_sage",
    "proteins_structure_free", "proteins_gps",
    "words_lstm", "words_zaremba", "market_trm63", "adult", "adult_ft", "california_housing", "housing_tabm",
    "adult_perceptron", "adult_tabm",
    "adult_xgboost", "adult_linear", "adult_majority", "housing_lightgbm", "diabetes_lightgbm", "sst2_minilm",
    "sst2_distilled", "sst2_tfidf", "clothing_all_text", "clothing_embedder", "clothing_fusion", "clothing_table",
    "clothing_text", "wnut17_minilm", "auto", "sudoku4_trm", "adult_lightgbm", "bike_sharing", "cora_links_structure",
    "cora_gcn", "shakespeare_lstm", "breast_cancer",
)  # fmt: skip
TEACHERS = {"etth1_distilled": "forecasting/etth1_phase", "sst2_distilled": "text/sst2_minilm"}
FAMILIES = ("forecasting", "recurrent", "graph", "tabular", "text")
EXPERIMENTS = sorted(path for family in FAMILIES for path in CONFIGS.glob(f"{family}/*.yaml"))
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
    "housing": "california_housing/housing.csv",
    "adult": "adult/adult.data",
    "diabetes": "diabetes130/dataset_diabetes/diabetic_data.csv",
    "sst2": "sst2/train.tsv",
    "clothing": "womens_clothing/val.csv",
    "wnut17": "wnut17/train.conll",
}
FEW = ("-c", str(CONFIGS / "trainer/debug.yaml"))
FEWER = (*FEW, "--trainer.limit_train_batches", "2", "--trainer.detect_anomaly", "false")


def skip_without_data(config: Path) -> None:
    file = FILES.get(config.stem.split("_")[0])
    if file is not None and not (DATA / file).exists():
        pytest.skip(f"needs {file} below $LIGHTNING_APP_DATA")


def of_a_tiny_encoder(config: Path) -> list[str]:
    """Options that put a tiny encoder in the place of the pretrained one of a config."""
    if "pretrained" not in yaml.safe_load(config.read_text())["data"]["init_args"]:
        return []
    folder = tiny_encoder(Path("tiny"), num_layers=6)
    return ["--data.pretrained", str(folder), "--data.max_length", "60"]


@pytest.mark.parametrize(
    "config",
    [pytest.param(path, marks=pytest.mark.slow if path.stem in ALIKE else (), id=path.stem) for path in EXPERIMENTS],
)
def test_every_experiment_fits_tests_and_predicts(config: Path) -> None:
    skip_without_data(config)
    options = of_a_tiny_encoder(config)
    if config.stem.endswith("ensemble"):
        for member in ("ridge", "linear"):
            assert main(["fit", "-c", str(config.with_name(f"etth1_{member}.yaml")), *FEWER]) == 0
        members = [str(folder / "checkpoints/best.ckpt") for folder in run_folders(Path("runs"))]
        options = ["--model.members", str(members)]
    if config.stem == "auto":  # fitted by tests/lightning_app/test_auto.py
        waves(rows=500).write_csv("waves.csv")
        options = ["--data.series.path", "waves.csv"]
    if config.stem in TEACHERS:
        assert main(["fit", "-c", TEACHERS[config.stem], *FEWER, *options]) == 0
        options += ["--model.teacher", str(run_folders(Path("runs"))[0])]
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
