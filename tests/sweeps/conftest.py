import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import postgres

ROOT = Path(__file__).parent.parent.parent
PROCESS = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


SPACE = """
metrics: {val/mse: minimize}
sampler: random
pruner: PRUNER
space:
  model.network.hidden_size: {type: categorical, choices: [4, 8]}
  model.optimizer.lr: {type: float, low: 0.0005, high: 0.02, log: true}
"""


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """URL of an empty data base of PostgreSQL."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def proxy(database: str) -> Iterator[str]:
    """URL of a gRPC server in front of it."""
    pytest.importorskip("grpc", reason="this storage needs the extra grpc")
    command = [sys.executable, "-m", "sweeps.grpc_server", "--storage", database, "--port", "0"]
    port = _free_port()
    command[-1] = str(port)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=PROCESS) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"serving")
        yield f"grpc://localhost:{port}"
        process.terminate()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["journal", "sqlite", "postgresql", "grpc"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A storage of each kind."""
    if request.param == "journal":
        return f"journal://{tmp_path}/journal.log"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    return str(request.getfixturevalue("database" if request.param == "postgresql" else "proxy"))


@pytest.fixture
def sweep_args(fit_args: Callable[..., list[str]], tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of a sweep over the small forecasting config."""

    def args(*options: str, pruner: str = "none", space: str = SPACE, fit: tuple[str, ...] = ()) -> list[str]:
        file = tmp_path / "small_space.yaml"
        file.write_text(space.replace("PRUNER", pruner))
        _, config, path, *_ = fit_args()
        return ["sweep", config, path, "--space", str(file), "--root", str(tmp_path / "runs"), *options, "--", *fit]

    return args
