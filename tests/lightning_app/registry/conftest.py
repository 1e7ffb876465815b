from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightning_app.__main__ import main
from lightning_app.registry import Registry
from tests.packages import small_package
from tests.registries import place_registry


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry where commands look for it, and a cache of its own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # what a test sets by MLflow is taken back
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    place_registry(tmp_path, request.config)
    return Registry()


@pytest.fixture
def register(tmp_path: Path) -> Callable[..., int]:
    """Registers a small package as `phase`; the larger the noise, the worse it is."""

    def add(noise: float = 0.1, **options: Any) -> int:
        number = len(list(tmp_path.glob("package-*"))) + 1
        folder = small_package(tmp_path / f"package-{number}", noise=noise, seed=number, **options)
        assert main(["register", str(folder), "--name", "phase"]) == 0
        return number

    return add
