from pathlib import Path

import pytest

from tests.lightning_app.retraining.points import Points
from tests.registries import place_registry


@pytest.fixture
def registry_folder(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty registry, and a cache of its own."""
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    place_registry(tmp_path, request.config)
    return tmp_path


@pytest.fixture
def points(registry_folder: Path) -> Points:
    """A model with a champion, a history and an empty journal."""
    return Points(registry_folder, journal=f"sqlite:///{registry_folder}/journal.db")
