"""Database file of an embedded registry: created once, atomically."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from lightning_app.atomic_write import replacing


def create_database(path: Path) -> None:
    """Creates the sqlite file of a registry unless it exists.

    MLflow creates its tables with about a hundred migrations. Processes that start this concurrently on a missing file
    crash ("table already exists"), and a killed one leaves half a schema. So the migrations run under a lock, on a
    temporary file that is renamed at the end.

    Args:
        path: The file.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():
            return
        for leftover in path.parent.glob(f".{'[0-9a-f]' * 8}.{path.name}*"):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        with replacing(path, durable=True) as partial:
            _migrate(partial)


def _migrate(path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{path}"
    with _without_syncing(path):
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_registered_models(max_results=1)


@contextmanager
def _without_syncing(path: Path) -> Iterator[None]:
    """Skips the fsync of each migration on a file that nobody else reads yet, which halves the time."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def on_connect(connection: Any, _record: Any) -> None:
        files = [row[2] for row in connection.execute("PRAGMA database_list")]
        if str(path) in files:
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", on_connect)
    try:
        yield
    finally:
        event.remove(Engine, "connect", on_connect)
