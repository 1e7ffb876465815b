"""Monitoring process, started by the supervisor: `python -m lightning_app.monitoring.process FOLDER`."""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.monitoring.config.monitor_config import MonitorConfig, read_monitor_config
from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop
from lightning_app.monitoring.process.published import publish
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.observability.logs import configure_logs

_NICE = 10
"""Workers come first."""


def main() -> None:
    """Runs until SIGTERM, or until the supervisor has gone."""
    parser = argparse.ArgumentParser(description="Monitoring of a server; started by `lightning-app serve`.")
    parser.add_argument("folder", type=Path, help="runtime folder of the server")
    folder: Path = parser.parse_args().folder
    os.nice(_NICE)
    server = msgspec.json.decode((folder / "config.json").read_bytes(), type=ServeConfig)
    log = configure_logs(level=server.log_level, process="monitoring")
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    threading.Thread(target=_watch_supervisor, args=(end,), daemon=True).start()
    config = _config(server)
    loop = MonitoringLoop(config, folders=lambda: _packages(folder))
    while not end.is_set():
        begin = time.monotonic()
        publish(loop.tick(time.time()), folder, title=config.title)
        # A report may take as long as a fifth of the time: a large journal does not keep a core busy.
        end.wait(max(seconds(config.refresh), 4 * (time.monotonic() - begin)))
    loop.close()
    log.close()


def _config(server: ServeConfig) -> MonitorConfig:
    """The configuration of monitoring, with the journal, registry and models of the server where it names none."""
    assert server.monitor is not None
    config = read_monitor_config(server.monitor)
    return replace(config, journal=config.journal or server.journal.url, registry=config.registry or server.registry)


def _packages(folder: Path) -> list[Path]:
    """Folders of the packages that the server has loaded now."""
    try:
        content = (folder / "models.json").read_bytes()
    except OSError:
        return []
    return [Path(model.path) for model in msgspec.json.decode(content, type=list[ResolvedModel])]


def _watch_supervisor(end: threading.Event) -> None:
    """Ends the process with the pipe from the supervisor."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    end.set()


if __name__ == "__main__":
    main()
