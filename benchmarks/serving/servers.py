"""Servers side by side: ours with everything on, LitServe with batching, FastAPI doing nothing but predict."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import ROOT
from benchmarks.serving.load import Request
from benchmarks.serving.processes import Server, free_port, running

PEER = ROOT / ".peer" / "litserve"
_PEERS = ("litserve==0.2.19", "fastapi==0.165.0", "uvicorn[standard]==0.54.0", "onnxruntime==1.31.1", "numpy==2.4.6")


def peer_python() -> str:
    """The interpreter of LitServe and FastAPI, installed into an environment of its own at first use."""
    if not (PEER / "bin" / "litserve").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(PEER / "bin" / "pip"), "install", "--quiet", *_PEERS], check=True)
    return str(PEER / "bin" / "python")


@contextmanager
def litserve(package: Path) -> Iterator[Server]:
    """LitServe, batches of up to 64 rows that wait up to 2 ms, one worker, one API server."""
    with _peer("serve_litserve", package) as server:
        yield server


@contextmanager
def fastapi(package: Path) -> Iterator[Server]:
    """FastAPI on uvicorn with httptools and uvloop, an async endpoint with pydantic models."""
    with _peer("serve_fastapi", package) as server:
        yield server


@contextmanager
def ours(
    folder: Path, models: Mapping[str, Path], *, model_options: Mapping[str, Any] | None = None, **config: Any
) -> Iterator[Server]:
    """One worker with all that is on by default: key check, batcher, validation, metrics, journal.

    Args:
        folder: Where its configuration, key file and journal are written.
        models: Packages by name.
        model_options: Further fields of each model, e.g. `batching`.
        config: Further fields of the configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    content = {
        "models": [{"model": str(path), "name": name, **(model_options or {})} for name, path in models.items()],
        "port": port,
        "workers": 1,
        "keys": str(folder / "keys.yaml"),
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        **config,
    }
    (folder / "serve.yaml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "lightning_app", "serve", "--config", str(folder / "serve.yaml")]
    with running(command, port, log=folder / "server.log") as server:
        yield server


def request(folder: Path, body: bytes | Mapping[str, Any], *, name: str = "body", **fields: str) -> Request:
    """A request whose body is written to a file.

    Args:
        folder: Where.
        body: Its bytes, or what becomes JSON.
        name: Name of the file.
        fields: Further fields of `Request`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    return Request(body=path, **fields)


def new_key(folder: Path) -> str:
    """An API key for everything, in a key file that `ours` reads."""
    from lightning_app.serving.security.keys_command import add

    folder.mkdir(parents=True, exist_ok=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        add(["add", str(folder / "keys.yaml"), "--id", "bench", "--scopes", "predict,feedback,admin"])
    return printed.getvalue().split()[-1]


@contextmanager
def _peer(program: str, package: Path) -> Iterator[Server]:
    port = free_port()
    path = ROOT / "benchmarks" / "programs" / f"{program}.py"
    with running([peer_python(), str(path), str(package / "model.onnx"), str(port)], port, probe="/predict") as server:
        yield server
