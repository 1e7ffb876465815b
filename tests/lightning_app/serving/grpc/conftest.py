from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lightning_app.packaging.runtime.test_node_ids import TEXTS, written
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.lightning_app.serving.grpc.grpc_calls import Calls, calls_of
from tests.lightning_app.serving.model_packages import series_package
from tests.lightning_app.serving.server import RunningWorker, resolved, running_worker
from tests.packages import LABELS, small_package


@pytest.fixture(scope="package")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {
        "price": small_package(folder / "price"),
        "classes": small_package(folder / "classes", labels=LABELS, name="classes"),
        "text": stream_package(folder / "text"),
        "nodes": written(folder / "nodes", TEXTS),
        "load": series_package(folder / "load"),
    }


@pytest.fixture(scope="package")
def worker(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    """A worker with every kind of model, small limits and a journal."""
    folder = tmp_path_factory.mktemp("worker")
    models = [resolved(path, name, version=3 if name == "classes" else None) for name, path in packages.items()]
    config = {
        "limits": {"body_bytes": 100_000, "rows": 100, "body_seconds": 2},
        "journal": {"url": f"sqlite:///{folder}/journal.db"},
        "grpc_port": 0,
    }
    with running_worker(folder / "w", models, config=config) as running:
        yield running


@pytest.fixture(scope="package")
def calls(worker: RunningWorker) -> Iterator[Calls]:
    with calls_of(worker) as calls:
        yield calls
