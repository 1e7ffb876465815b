"""Embedded registries that start in no time, and a program of processes that are killed."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest


def place_registry(folder: Path, config: pytest.Config) -> Path:
    """Puts an empty registry into a folder: MLflow's migrations take seconds, a copy of their outcome does not.

    Args:
        folder: Where to.
        config: Of pytest, whose cache keeps the outcome.
    """
    from lightning_app.registry.storage.database import create_database

    template = config.cache.mkdir("lightning_app_registry") / f"mlflow-{version('mlflow-skinny')}.db"
    create_database(template)
    return Path(shutil.copy(template, folder / "mlflow.db"))
