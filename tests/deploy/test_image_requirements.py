"""Requirements of the image: they follow the lock, hold all that a server imports, and nothing of training."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from tests.deploy.shipped import DEPLOY, ROOT, module

IMAGE = DEPLOY / "image"
TRAINING = re.compile(
    r"^(torch|lightning|pytorch-lightning|torchmetrics|torch-geometric|triton|nvidia-.*|jsonargparse|wandb|matplotlib"
    r"|scikit-learn|scipy|statsmodels|optuna|onnx|onnxscript|ray|pytest.*|mypy|ruff)$"
)
VERBS = (
    "lightning_app.__main__",
    "lightning_app.serving",
    "lightning_app.registry",
    "lightning_app.scoring",
    "lightning_app.packaging.commands.package_command",
    "lightning_app.features_commands",
)
"""What the image is for: the verbs of packages, down from their commands."""
OPTIONAL = {
    "feast": "repositories of Feast are imported on a workstation",
    "deltalake": "tables of Delta as sources are read where features are built",
    "obstore": "data snapshots are for training",
    "pandera": "its schemas are read where data are checked",
    "matplotlib": "pictures of reports are drawn on a workstation",
    "scipy": "servers read references of drift; it is judged where the monitor runs",
    "ray": "scoring on Ray, and replicas of Ray Serve, are not started in this image",
}
"""Distributions that a module imports when it is asked to, and that the image does without."""


def pins(file: str) -> dict[str, str]:
    lines = (IMAGE / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_requirements_are_what_the_lock_gives() -> None:
    done = subprocess.run(
        [sys.executable, IMAGE / "requirements.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ["serve.txt", "server.txt"])
def test_nothing_of_training_is_in_the_image(file: str) -> None:
    assert [name for name in pins(file) if TRAINING.match(name)] == []


@pytest.mark.parametrize(("file", "verbs"), [("server.txt", VERBS), ("monitor.txt", ("lightning_app.monitoring",))])
def test_everything_that_a_server_imports_is_in_the_image(file: str, verbs: tuple[str, ...]) -> None:
    packages = ("lightning_app", "features")
    graph = grimp.build_graph(*packages, include_external_packages=True, exclude_type_checking_imports=True)
    reached = {name for name in graph.modules if name.startswith(tuple(f"{verb}." for verb in verbs)) or name in verbs}
    waiting = list(reached)
    while waiting:
        for found in graph.find_modules_directly_imported_by(waiting.pop()) - reached:
            reached.add(found)
            waiting.append(found)
    external = {name for name in reached if name.partition(".")[0] not in packages and "." not in name}
    distributions = packages_distributions()
    needed = {
        _canonical(owner): name
        for name in external - set(sys.stdlib_module_names)
        for owner in distributions.get(name, [name])
    }
    server = {_canonical(name) for name in pins(file)}
    assert {name: by for name, by in needed.items() if name not in server and name not in OPTIONAL} == {}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_sbom_lists_the_closure_with_its_versions(tmp_path: Path) -> None:
    module("cyclonedx_py", "cyclonedx-bom")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("needs pip")
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        [IMAGE / "sbom.sh", tmp_path / "sbom.json"], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    listed = {_canonical(each["name"]): each["version"] for each in sbom["components"]}
    assert {name: version for name, version in listed.items() if name != "lightning-r2p"} == pins("server.txt")
