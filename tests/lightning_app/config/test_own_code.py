"""A user's own modules in the working folder, beside folders that are called as ours are; each command a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from models.trusted_classes import TrustedClasses
from tests.conftest import CONFIGS, only_run

NETWORK = """
import torch
from torch import nn
{imports}

class Drift(nn.Module):
    def __init__(self, *, horizon: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(horizon))

    def forward(self, past):
        return past[:, -1:] + past.std(dim=1, keepdim=True) * self.share[:, None]
"""
SCRIPT = "import sys\nfrom lightning_app.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a network in a file, and in folders that are called as ours are."""
    for name in ("models", "callbacks", "datamodules", "sweeps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    (tmp_path / "drift.py").write_text(NETWORK.format(imports="from models.blocks import WIDTH"))
    (tmp_path / "models" / "mynet.py").write_text(NETWORK.format(imports="from .blocks import WIDTH"))
    (tmp_path / "models" / "blocks.py").write_text("WIDTH = 3\n")
    (tmp_path / "models" / "losses.py").write_text("class Own: ...\n")
    return tmp_path


def lightning_app(door: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs a command by `python -m`, or by a script, whose folder is on the path and not the working one."""
    Path("bin").mkdir(exist_ok=True)
    Path("bin/lightning-app").write_text(SCRIPT)
    words = {"module": ["-m", "lightning_app"], "script": [str(Path("bin/lightning-app").resolve())]}[door]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    return subprocess.run([sys.executable, *words, *args], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("door", "network"),
    [("script", "models.mynet.Drift"), pytest.param("module", "drift.Drift", marks=pytest.mark.slow)],
)
def test_a_network_of_the_working_folder_trains(
    door: str, network: str, folder: Path, fit_args: Callable[..., list[str]]
) -> None:
    args = fit_args("--trainer.max_epochs", "1", "--data.num_workers", "1")
    config = yaml.safe_load((folder / "small.yaml").read_text())
    config["model"]["init_args"]["network"] = network
    (folder / "small.yaml").write_text(yaml.safe_dump(config))
    answer = lightning_app(door, *args)
    assert answer.returncode == 0, answer.stderr
    assert "Forecaster(Drift)" in answer.stdout
    assert "lightning_app has its own: models/__init__.py, models/losses.py" in answer.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("door", ["script", "module"])
@pytest.mark.parametrize("network", ["drift.Drift", "models.mynet.Drift"])
def test_every_verb_finds_it(door: str, network: str, folder: Path, fit_args: Callable[..., list[str]]) -> None:
    config = yaml.safe_load((folder / "small.yaml").read_text())
    config["model"]["init_args"]["network"] = network
    (folder / "small.yaml").write_text(yaml.safe_dump(config))
    (folder / "space.yaml").write_text(
        "metrics: {val/mse: minimize}\nspace:\n  model.optimizer.lr: {type: float, low: 0.001, high: 0.1, log: true}\n"
    )
    ranks = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    short = ["--trainer.max_epochs", "1"]
    sweep = ["sweep", "-c", "small.yaml", "--space", "space.yaml", "--trials", "2"]
    commands = [
        ["compare", "small.yaml", "--", *short],
        [*sweep, "--", *short],
        [*sweep, "--study", "ranks", "--", *short, *ranks],
        ["fit", "-c", "small.yaml", "--run.root", "ddp", *short, *ranks, "--data.num_workers", "1"],
    ]
    for command in commands:
        answer = lightning_app(door, *command)
        assert answer.returncode == 0, (command, answer.stdout, answer.stderr)
    run = str(only_run(folder / "ddp"))
    assert f"/best.ckpt --trust {network.removesuffix('.Drift')}\n" in answer.stdout
    test = ["test", "--ckpt_path", f"{run}/checkpoints/best.ckpt"]
    refused = lightning_app(door, *test)  # a run folder is data: it may not choose what is imported from here
    assert refused.returncode == 2
    assert f"add --trust {network.removesuffix('.Drift')}" in refused.stderr
    for command in (["export", run, "--output", "package", "--"], test):
        answer = lightning_app(door, *command, "--trust", network.removesuffix(".Drift"))
        assert answer.returncode == 0, (command, answer.stdout, answer.stderr)


def test_data_may_not_name_modules_of_a_users_folder_as_ours() -> None:
    with pytest.raises(ImportError, match="models.mynet.Drift is code of 'models.mynet', which is not trusted here"):
        TrustedClasses().check_path("models.mynet.Drift")
    for path in ("models.Forecaster", "models.graph.encoders.gcn.GCN", "callbacks.progress.Progress"):
        TrustedClasses().check_path(path)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("models.Drift", "only files that have no namesake in it can be imported: give models.<file>.Drift, or rename"),
        ("models.losses.Own", "module 'models.losses' has no attribute 'Own'; models is lightning_app's own package"),
    ],
)
def test_a_name_that_could_be_two_is_explained(
    network: str, said: str, folder: Path, fit_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--model.network", network)) == 2
    assert said in capsys.readouterr().err


def test_importing_beside_a_package_that_was_imported_first_says_so(folder: Path) -> None:
    (folder / "models" / "__init__.py").write_text("")
    answer = subprocess.run(
        [sys.executable, "-c", "import models, lightning_app"],
        env={**os.environ, "PYTHONPATH": f"{folder}:{CONFIGS.parent}"},
        capture_output=True,
        text=True,
    )
    assert "'models' is already imported from" in answer.stderr
    assert "import lightning_app first" in answer.stderr
