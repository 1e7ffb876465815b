"""Configs that are data name no code of their choice: hyper-parameters, run folders, packages."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.__main__ import main
from lightning_app.config.trust import split_trust
from lightning_app.runs.history import read_history
from lightning_app.runs.run_folder import RunFolder
from models import Forecaster
from models.trusted_classes import UntrustedClassError
from tests.conftest import only_run

FitArgs = Callable[..., list[str]]

OWN_NETWORK = """
from pathlib import Path

import torch
from torch import Tensor, nn

Path(__file__).with_suffix(".imported").touch()


class Drift(nn.Module):
    def __init__(self, *, horizon: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(horizon, 1))

    def forward(self, past: Tensor) -> Tensor:
        return past[:, -1:] + self.share


def make_optimizer(parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)
"""


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's that says when it is imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_drift", raising=False)
    (tmp_path / "own_drift.py").write_text(OWN_NETWORK)
    return tmp_path / "own_drift.imported"


def command(kind: str) -> dict[str, Any]:
    return {"class_path": kind, "init_args": {"command": "touch ran"}}


MODEL = {
    "network": {"class_path": "RepeatLast"},
    "loss": {"class_path": "torch.nn.L1Loss"},
    "num_channels": 1,
    "look_back": 4,
    "horizon": 2,
}

EVALUATED = {"input_args": "x: __import__('pathlib').Path('ran').touch()", "modules": ["torch.nn.ReLU"]}
ATTACKS: list[dict[str, Any]] = [
    {"optimizer": command("os.system")},
    {"scheduler": command("os.system")},
    {"optimizer": "os.system"},
    {"network": command("os.system")},
    {"network": {"class_path": "own_drift.Drift"}},
    {"network": "own_drift.Drift"},
    {
        "network": {
            "class_path": "lightning_app.atomic_write.write_whole",
            "init_args": {"path": "ran", "text": "."},
        }
    },
    {"network": {"class_path": "lightning_app.cli.app_cli.shutil.rmtree", "init_args": {"path": "."}}},
    {"network": {"class_path": "torch.hub.load", "init_args": {"repo_or_dir": ".", "source": "local"}}},
    {"loss": {"class_path": "torch.nn.Sequential", "dict_kwargs": {"arg": command("subprocess.Popen")}}},
    {"network": {"class_path": "torch_geometric.nn.Sequential", "init_args": EVALUATED}},
    {"network": {"class_path": "PhaseTransformer", "init_args": {"norm": command("subprocess.Popen")}}},
]


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_hyper_parameters_of_a_checkpoint_run_nothing(attack: dict[str, Any], own_network: Path) -> None:
    parameters = {
        "_class_path": "models.Forecaster",
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
        **MODEL,
        **attack,
    }
    torch.save({"state_dict": {}, "hyper_parameters": parameters, "pytorch-lightning_version": "2.6.6"}, "evil.ckpt")
    with pytest.raises(UntrustedClassError):
        Forecaster.load_from_checkpoint("evil.ckpt")
    assert not Path("ran").exists()
    assert not own_network.exists()


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_config_of_a_run_folder_runs_nothing(
    attack: dict[str, Any], own_network: Path, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    config["model"]["init_args"] |= attack
    _run_folder(config)
    assert main(["test", "--ckpt_path", "run/checkpoints/best.ckpt"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert not Path("ran").exists()
    assert not own_network.exists()


@pytest.mark.parametrize("key", ["callbacks", "logger", "plugins", "strategy", "profiler"])
def test_parts_of_the_trainer_in_a_run_folder_are_data_too(
    key: str, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    config["trainer"][key] = [command("os.system")] if key == "callbacks" else command("os.system")
    _run_folder(config)
    assert main(["predict", "--ckpt_path", "run/checkpoints/best.ckpt"]) == 2
    message = capsys.readouterr().err
    assert f"run/config.yaml: trainer.{key}" in message
    assert "os.system is code of 'os', which is not trusted" in message
    assert not Path("ran").exists()


def test_export_and_packages_are_no_way_around(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    from lightning_app.packaging.optimize.parent import PackageConfig

    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    config["model"]["init_args"]["optimizer"] = command("os.system")
    _run_folder(config)
    assert main(["export", "run", "--output", "package"]) == 2
    assert "run/config.yaml: model.optimizer: os.system is code of 'os'" in capsys.readouterr().err
    with pytest.raises(UntrustedClassError, match="os.system"):
        PackageConfig(Path("run"), Path("runs"), [])
    assert not Path("ran").exists()


@pytest.mark.parametrize("key", ["teacher", "members"])
def test_a_checkpoint_that_a_config_names_is_data_too(
    key: str, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = {
        "_class_path": "models.Forecaster",
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
        **MODEL,
        "optimizer": command("os.system"),
    }
    torch.save({"state_dict": {}, "hyper_parameters": parameters, "pytorch-lightning_version": "2.6.6"}, "evil.ckpt")
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    if key == "members":
        config["model"] = {
            "class_path": "EnsembleForecaster",
            "init_args": {"members": ["evil.ckpt"], "loss": "torch.nn.L1Loss"},
        }
    else:
        config["model"]["class_path"] = "DistilledForecaster"
        config["model"]["init_args"] |= {"teacher": "evil.ckpt"}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "-c", "config.yaml"]) == 2
    assert "os.system is code of 'os', which is not trusted" in capsys.readouterr().err
    assert not Path("ran").exists()


@pytest.mark.parametrize("factory", ["os.system", "own_drift.make_optimizer", "torch.nn.Linear"])
def test_where_an_optimizer_is_wanted_only_classes_of_optimizers_are_taken(
    factory: str, own_network: Path, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--model.optimizer", f"{{class_path: {factory}}}")) == 2
    assert "Optimizer" in capsys.readouterr().err
    assert main(fit_args("--model.optimizer", factory)) == 2


def test_an_own_network_fits_from_ones_own_config_and_its_run_folder_asks_for_trust(
    own_network: Path, fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    config["model"]["init_args"]["network"] = {"class_path": "own_drift.Drift"}
    Path("own.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "-c", "own.yaml", "--trainer.max_epochs", "1"]) == 0
    checkpoint = str(only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt")
    assert "trust" not in (only_run(tmp_path / "runs") / "config.yaml").read_text()
    assert main(["validate", "--ckpt_path", checkpoint]) == 0  # imported in this process: the user's own class
    del sys.modules["own_drift"]
    own_network.unlink()
    assert main(["validate", "--ckpt_path", checkpoint]) == 2
    assert "add --trust own_drift" in capsys.readouterr().err
    assert not own_network.exists()
    with pytest.raises(UntrustedClassError, match="import it first"):
        Forecaster.load_from_checkpoint(checkpoint)
    assert main(["validate", "--ckpt_path", checkpoint, "--trust", "own_drift"]) == 0


def test_a_file_below_a_folder_called_as_ours_is_trusted_by_its_own_name_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fit_args: FitArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("models").mkdir()
    Path("models/own_net.py").write_text(OWN_NETWORK)
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    config["model"]["init_args"]["network"] = {"class_path": "models.own_net.Drift"}
    _run_folder(config)
    words = ["test", "--ckpt_path", "run/checkpoints/best.ckpt"]
    for named in ([], ["--model.loss=models.losses.QuantileLoss"]):
        assert main([*words, *named]) == 2
        assert "models.own_net.Drift is code of 'models.own_net', which is not trusted" in capsys.readouterr().err
        assert not Path("models/own_net.imported").exists()


def test_what_the_user_names_is_what_stands_in_his_words_and_files() -> None:
    Path("net.yaml").write_text("class_path: acme.nets.Net\n")
    Path("own.yaml").write_text("model: {network: net.yaml, loss: {class_path: other.Loss}}\ntrust: [third]\n")
    Path("data.yaml").write_text("model: {network: {class_path: evil.Net}}\n")
    words = ["fit", "-c", "own.yaml", "--config=data.yaml", "--trust", "a,b.c", "--model.x={class_path: my.X}", "my.Y"]
    named, rest = split_trust(words, data={Path("data.yaml")})
    assert named == {"acme.nets.Net", "other.Loss", "third", "a", "b.c", "my.X", "my.Y"}
    assert rest == [word for word in words if word not in ("--trust", "a,b.c")]


def test_a_run_folder_called_like_a_module_is_no_trust_in_that_module(
    fit_args: FitArgs, own_network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    config["model"]["init_args"]["network"] = {"class_path": "own_drift.Drift"}
    _run_folder(config)
    Path("run").rename("own_drift.run")
    Path("own.yaml").write_text("ckpt_path: own_drift.run\n")
    for words in (["--ckpt_path", "own_drift.run"], ["-c", "own.yaml", "--output=own_drift.out"]):
        assert main(["test", *words]) == 2
        assert "own_drift.Drift is code of 'own_drift', which is not trusted" in capsys.readouterr().err
        assert not own_network.exists()


def test_what_a_module_of_functions_of_tensors_imports_is_none_of_them(
    fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(Path(fit_args()[2]).read_text())
    called = {"on_test_start": "torch.nn.functional.importlib.import_module"}
    config["trainer"]["callbacks"] = [{"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": called}]
    _run_folder(config)
    assert main(["test", "--ckpt_path", "run"]) == 2
    assert "importlib.import_module, which is not trusted" in capsys.readouterr().err


def test_damaged_files_of_a_run_folder_are_named(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    _run_folder(yaml.safe_load(Path(fit_args()[2]).read_text()))
    Path("run/checkpoints/last.ckpt").touch()
    Path("runs/own").mkdir(parents=True)
    Path("run").rename("runs/own/1")
    last = ["test", "--run.name", "own", "--ckpt_path", "last", "--run.root", "runs"]
    for text in ("", "[]"):
        Path("runs/own/1/lineage.json").write_text(text)
        assert main(last) == 2
        assert "runs/own/1/lineage.json is damaged" in capsys.readouterr().err
    Path("runs/own/1/lineage.json").unlink()
    with Path("runs/own/1/config.yaml").open("a") as file:
        file.write("x: !!python/name:os.system\n")
    assert main(last) == 2
    assert re.search(r"runs/own/1/config.yaml:\d+: no YAML: .*python/name:os.system", capsys.readouterr().err)
    for name, read in (
        ("metrics.csv", lambda run: read_history(run.history)),
        ("metrics.json", RunFolder.read_metrics),
    ):
        Path(name).write_text("root:x:0,0\n1,2,3\n")
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            read(RunFolder(Path()))


def _run_folder(config: dict[str, Any]) -> None:
    (Path("run") / "checkpoints").mkdir(parents=True)
    (Path("run") / "checkpoints" / "best.ckpt").touch()
    (Path("run") / "config.yaml").write_text(yaml.safe_dump(config))
