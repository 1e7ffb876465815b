"""A forecasting run becomes a package that answers as its checkpoint does; what does not is not written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
import torch
import yaml
from torch import Tensor, nn

from lightning_app.__main__ import main
from lightning_app.cli.trained_run import TrainedRun
from lightning_app.packaging import Manifest, Package
from tests.conftest import only_run

WRITTEN = {
    "intended_use": "Tests.",
    "out_of_scope": "Anything else.",
    "limitations": "It knows waves alone.",
    "ethical_considerations": "None.",
    "license": "apache-2.0",
}
CARD = [f"--card.{name}={text}" for name, text in WRITTEN.items()]


def checkpoint_of(run: Path) -> Any:
    """The module and data of a run's best checkpoint."""
    trained = TrainedRun(["--ckpt_path", str(run / "checkpoints/best.ckpt")])
    trained.datamodule.setup("test")
    return trained.model, trained.datamodule


def test_a_run_becomes_a_package_that_answers_and_scores_as_its_checkpoint(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args(*CARD)) == 0
    run = only_run(tmp_path / "runs")
    capsys.readouterr()
    assert main(["export", str(run), "--output", "package", "--sample", "20"]) == 0
    printed = capsys.readouterr()
    assert "model card" not in printed.out  # nothing is missing
    assert printed.err == ""
    package = Package.load("package")
    manifest = package.manifest
    assert package.digest in printed.out

    spec = manifest.inputs[0]
    (past,) = [value for value in onnx.load("package/model.onnx").graph.input if value.name == "past"]
    assert past.doc_string.startswith(f"unit: {spec.unit}; columns: {', '.join(spec.columns or ())}")
    noted = json.loads(package.session.get_modelmeta().custom_metadata_map["lightning_app.signature"])
    assert noted["past"] == {"unit": spec.unit, "columns": list(spec.columns or ()), "levels": None}
    assert set(noted) == {spec.name for spec in (*manifest.inputs, *manifest.outputs)}

    model, data = checkpoint_of(run)
    batch = data.dataset("test").__getitems__(np.arange(len(data.dataset("test"))))
    with torch.no_grad():
        expected = model(batch["past"]).numpy()
    answer = package.predict({"past": batch["past"].numpy()})["forecast"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5)

    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    tested = json.loads((run / "metrics.json").read_text())
    for name in ("test/mse", "test/mae", "test/loss"):
        assert manifest.metrics["values"][name] == pytest.approx(tested[name], rel=1e-5)
        assert manifest.metrics["better"][name] == "lower"
    evaluation = pl.read_parquet("package/evaluation.parquet")
    assert evaluation["row"].to_list() == batch["origin"].tolist()
    assert evaluation["error"].mean() == pytest.approx(tested["test/mse"], rel=1e-5)
    assert evaluation["slice.period"].unique().to_list() == ["2024-01"]
    assert sum(part["rows"] for part in manifest.slices["volatility"].values()) == len(evaluation)

    reference = pl.read_parquet("package/reference.parquet")
    assert reference.columns == ["origin", "past", "target", "forecast"]
    assert len(reference) == 20
    np.testing.assert_allclose(
        package.predict(reference)["forecast"].to_numpy(), reference["forecast"].to_numpy(), rtol=1e-5
    )
    assert manifest.outputs[0].columns == ("c0", "c1")
    assert manifest.parity["max_relative_error"] < 1e-5
    assert manifest.parity["batch_sizes"] == [1, 7, 64]
    assert manifest.lineage["data"] == json.loads((run / "lineage.json").read_text())["data"]
    assert yaml.safe_load(Path("package/config.yaml").read_text())["card"] == WRITTEN
    check_card(Path("package/MODEL_CARD.md").read_text(), manifest)
    assert b"/tests/" not in Path("package/model.onnx").read_bytes()  # the exporter notes where our source lies

    assert main(["export", str(run), "--output", "package"]) == 2
    assert "output: package exists" in capsys.readouterr().err


def check_card(card: str, manifest: Manifest) -> None:
    """The metadata block says what the manifest says, and the sections are those that were written."""
    _, block, body = card.split("---\n", 2)
    metadata = yaml.safe_load(block)
    assert metadata["license"] == "apache-2.0"
    (result,) = metadata["model-index"][0]["results"]
    assert {metric["name"]: metric["value"] for metric in result["metrics"]} == manifest.metrics["values"]
    for name in ("intended_use", "out_of_scope", "limitations", "ethical_considerations"):
        assert WRITTEN[name] in body
    assert "To be written" not in body
    assert "95 % interval" in body
    assert manifest.card == {"complete": True, "missing": []}


class OtherwiseInExport(nn.Module):
    """Forecasts the last value, and in an export something else: what a gate is there to find."""

    def __init__(self, *, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, past: Tensor) -> Tensor:
        last = past[:, -1:].expand(-1, self.horizon, -1) * self.weight
        return last + 0.01 if torch.compiler.is_exporting() else last


@pytest.mark.slow
def test_a_package_that_answers_otherwise_is_refused_with_where_and_nothing_is_written(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = f"{__name__}.OtherwiseInExport"
    assert main(fit_args("--model.network", network)) == 0
    assert main(["export", str(only_run(tmp_path / "runs")), "--output", "package"]) == 1
    error = capsys.readouterr().err
    assert "ParityError: forecast of row " in error
    assert "0.0001 is allowed" in error
    assert not Path("package").exists()
    assert not [path for path in Path().iterdir() if "package" in path.name]


def test_what_cannot_be_exported_is_said_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    for source, message in (("none", "'none' does not exist"), ("run", "'run' has no checkpoints/best.ckpt")):
        assert main(["export", source, "--output", "package"]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "taken").write_text("mine")
    assert main(["export", "run", "--output", "taken"]) == 2
    assert "output: taken exists" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "mine"
    assert main(["export", "run", "--output", "package", "--sample", "0"]) == 2
    assert "sample: 0 given" in capsys.readouterr().err


COVARIATES = """
seed_everything: 3
trainer: {max_epochs: 1, limit_train_batches: 5, accelerator: cpu}
model:
  class_path: Forecaster
  init_args:
    network:
      class_path: PatchTransformer
      init_args:
        quantiles: [0.1, 0.5, 0.9]
        hidden_size: 8
        num_layers: 1
        norm: {class_path: ReversibleNorm, init_args: {mode: std}}
    loss: {class_path: PinballLoss, init_args: {quantiles: [0.1, 0.5, 0.9]}}
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
data:
  class_path: ForecastingDataModule
  init_args:
    series:
      class_path: TableFile
      init_args:
        path: waves.csv
        time_column: time
        frequency: 1h
        channels: [c0]
        past_covariates: [c1]
    calendar: [hour]
    look_back: 48
    horizon: 6
    batch_size: 16
"""


@pytest.mark.slow
def test_quantiles_and_covariates_are_in_the_signature(table_file: Path) -> None:
    Path("covariates.yaml").write_text(COVARIATES)
    assert main(["fit", "-c", "covariates.yaml"]) == 0
    assert main(["export", str(only_run(Path("runs"))), "--output", "package"]) == 0
    package = Package.load("package")
    shapes = {spec.name: spec.shape for spec in package.manifest.inputs}
    assert shapes["past"] == ("batch", 48, 1)
    assert shapes["past_covariates"] == ("batch", 48, 1)
    assert shapes["future_covariates"][:2] == ("batch", 54)
    assert [spec.columns for spec in package.manifest.inputs] == [("c0",), ("c1",), ("hour (0 to 23 as -0.5 to 0.5)",)]
    (output,) = package.manifest.outputs
    assert output.shape == ("batch", 6, 1, 3)
    assert output.levels == (0.1, 0.5, 0.9)
    rng = np.random.default_rng(0)
    request = {name: rng.standard_normal((5, *shape[1:])).astype(np.float32) for name, shape in shapes.items()}
    forecast = package.predict(request)["forecast"]
    assert (np.diff(forecast, axis=-1) >= 0).all()
    request["future_covariates"][:, 48:] += 1
    assert (package.predict(request)["forecast"] != forecast).any()  # the graph listens to them


ITRANSFORMER = """
class_path: ITransformer
init_args: {hidden_size: 8, num_layers: 1, num_heads: 2, norm: {class_path: ReversibleNorm, init_args: {mode: std}}}
"""
NHITS = """
class_path: NHiTS
init_args: {hidden_size: 8, knot_spacings: [4, 2, 1], norm: {class_path: ReversibleNorm, init_args: {mode: std}}}
"""
NBEATS = """
class_path: NBEATS
init_args:
  stacks: [trend, seasonality, exogenous]
  share_weights: true
  hidden_size: 8
  norm: {class_path: ReversibleNorm, init_args: {mode: std}}
"""
TIDE = """
class_path: TiDE
init_args: {hidden_size: 8, norm: {class_path: ReversibleNorm, init_args: {mode: std}}}
"""
FUSION = """
class_path: TemporalFusionTransformer
init_args: {hidden_size: 8, num_heads: 2, norm: {class_path: ReversibleNorm, init_args: {mode: std}}}
"""
DEEPAR = """
class_path: DeepAR
init_args:
  encoder: {class_path: GRUEncoder, init_args: {input_size: 4, hidden_size: 6}}
  num_paths: 4
  norm: {class_path: ReversibleNorm, init_args: {mode: std}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "covariates"),
    [
        pytest.param(ITRANSFORMER, True, id="itransformer"),
        pytest.param(NHITS, True, id="nhits"),
        pytest.param(NBEATS, True, id="nbeats"),
        pytest.param(TIDE, True, id="tide"),
        pytest.param(FUSION, True, id="fusion"),
        pytest.param(DEEPAR, False, id="deepar"),
    ],
)
def test_a_named_network_becomes_a_package_that_answers_as_its_checkpoint(
    network: str, covariates: bool, table_file: Path
) -> None:
    config = yaml.safe_load(COVARIATES)
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    model.update(network=yaml.safe_load(network), loss="torch.nn.L1Loss")
    if not covariates:
        data["series"]["init_args"]["past_covariates"] = []
        data["calendar"] = []
    if network is DEEPAR:
        config["model"]["class_path"] = "AutoregressiveForecaster"
    Path("named.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "-c", "named.yaml"]) == 0
    run = only_run(Path("runs"))
    assert main(["export", str(run), "--output", "package"]) == 0
    module, datamodule = checkpoint_of(run)
    batch = datamodule.dataset("test").__getitems__(np.arange(20))
    package = Package.load("package")
    inputs = {spec.name: batch[spec.name] for spec in package.manifest.inputs}
    assert len(inputs) == (3 if covariates else 1)
    with torch.no_grad():
        expected = module(**inputs).numpy()
    answer = package.predict({name: value.numpy() for name, value in inputs.items()})["forecast"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5)


@pytest.mark.slow
def test_closed_forms_cascades_and_ensembles_of_them_are_packages_too(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    ridge = """
model:
  class_path: RidgeForecaster
  init_args:
    network:
      class_path: models.baselines.ridge.FixedLinear
      init_args: {norm: {class_path: ReversibleNorm, init_args: {mode: last}}}
    loss: torch.nn.MSELoss
"""
    cascade = """
model:
  class_path: CascadedForecaster
  init_args:
    network:
      class_path: CascadedMLP
      init_args: {hidden_size: 8, norm: {class_path: ReversibleNorm, init_args: {mode: last}}}
    loss: torch.nn.L1Loss
    optimizer: {class_path: AdamW, init_args: {lr: 0.001}}
"""
    ensemble = """
model:
  class_path: EnsembleForecaster
  init_args: {members: [], loss: torch.nn.MSELoss}
"""
    assert main(fit_args("--run.name", "phase")) == 0
    data = yaml.safe_load((tmp_path / "small.yaml").read_text())
    for name, model in (("ridge", ridge), ("cascade", cascade), ("ensemble", ensemble)):
        config = {**data, **yaml.safe_load(model)}
        if name == "ensemble":
            members = sorted(str(path) for path in tmp_path.glob("runs/*/*/checkpoints/best.ckpt"))
            config["model"]["init_args"]["members"] = members
        Path(f"{name}.yaml").write_text(yaml.safe_dump(config))
        assert main(["fit", "-c", f"{name}.yaml", "--run.root", str(tmp_path / "runs")]) == 0
        (run,) = (tmp_path / "runs" / name).iterdir()
        assert main(["export", str(run), "--output", f"package_{name}"]) == 0
        package = Package.load(f"package_{name}")
        model, loaded = checkpoint_of(run)
        past = loaded.dataset("test").__getitems__(np.arange(9))["past"]
        with torch.no_grad():
            expected = model(past).numpy()
        np.testing.assert_allclose(package.predict({"past": past.numpy()})["forecast"], expected, rtol=1e-5)
    assert package.manifest.lineage["trained"]
    Path("alone.ckpt").write_bytes((run / "checkpoints/best.ckpt").read_bytes())
    options = ["-c", "ensemble.yaml", "--name", "alone", "--", "--run.root", "elsewhere"]
    assert main(["export", "alone.ckpt", "--output", "package_alone", *options]) == 0
    assert Package.load("package_alone").manifest.name == "alone"
    assert not list(Path("elsewhere").rglob("*.*"))  # no run was made, so no run folder is left
    assert not Path("elsewhere").exists()
    kinds = [parent["kind"] for parent in package.manifest.lineage["parents"]]
    assert kinds == ["checkpoint", "run", "member", "member", "member"]
