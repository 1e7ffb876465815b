"""A worker of a server in a process of its own, on a free port, for tests of what it answers."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from lightning_app.packaging.format.folder import read_folder
from lightning_app.serving.config.control_channel import Alive, Command, Event, ResolvedModel, decode_event, encode_line
from lightning_app.serving.config.serve_config import ServeConfig


@dataclass
class RunningWorker:
    """A worker that serves.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        client: HTTP client of this address.
        process: The process.
        folder: Its runtime folder.
        grpc_address: `127.0.0.1:PORT`, if the configuration has a `grpc_port`.
    """

    address: str
    client: httpx.Client
    process: "subprocess.Popen[bytes]"
    folder: Path
    control: int
    events: Any
    grpc_address: str | None = None

    def command(self, command: Command) -> None:
        """Sends a command of the supervisor."""
        os.write(self.control, encode_line(command))

    def event(self) -> Event:
        """The next event that is no mere sign of life."""
        while True:
            line = self.events.readline()
            assert line, f"the worker ended with {self.process.wait()}"
            if not isinstance(event := decode_event(line), Alive):
                return event


def resolved(package: Path, name: str, version: int | None = None) -> ResolvedModel:
    """A package as a supervisor resolves it."""
    digest = read_folder(package, keep=())[1]
    return ResolvedModel(name=name, reference=str(package), version=version, digest=digest, path=str(package))


@contextmanager
def running_worker(
    folder: Path,
    models: Sequence[tuple[str, Path]] | Sequence[ResolvedModel],
    *,
    config: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
) -> Iterator[RunningWorker]:
    """Starts a worker, and ends it with SIGTERM.

    Args:
        folder: Empty folder for its files.
        models: Names and folders of the packages.
        config: Fields of ServeConfig; without a journal unless they name one.
        model_config: Fields of every ModelConfig.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = [one if isinstance(one, ResolvedModel) else resolved(one[1], one[0]) for one in models]
    own = {one.name: one for one in reversed(listed)}  # further ones of a name are its further arms
    own = {one.name: own[one.name] for one in listed}
    content = {
        "models": [{"model": one.path, "name": one.name, **(model_config or {})} for one in own.values()],
        "journal": {"url": None},
        **(config or {}),
    }
    (folder / "config.json").write_bytes(msgspec.json.encode(msgspec.convert(content, ServeConfig)))
    (folder / "models.json").write_text(json.dumps([msgspec.to_builtins(one) for one in listed]))
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
        commands_out, commands = os.pipe()
        events, events_in = os.pipe()
        inherited = (listening.fileno(), commands_out, events_in)
        words = ["--folder", folder, "--fd", inherited[0], "--control-in", inherited[1], "--control-out", inherited[2]]
        grpc_address = None
        if "grpc_port" in content:
            grpc_listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
            words += ["--grpc-fd", grpc_listening.fileno()]
            inherited += (grpc_listening.fileno(),)
            grpc_address = f"127.0.0.1:{grpc_listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "lightning_app.serving.worker", *map(str, words)], pass_fds=inherited, cwd=folder
        )
        port = listening.getsockname()[1]
    os.close(commands_out)
    os.close(events_in)
    address = f"http://127.0.0.1:{port}"
    with os.fdopen(events, "rb") as lines, httpx.Client(base_url=address, timeout=30) as client:
        worker = RunningWorker(address, client, process, folder, commands, lines, grpc_address)
        try:
            worker.event()
            yield worker
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            os.close(commands)
