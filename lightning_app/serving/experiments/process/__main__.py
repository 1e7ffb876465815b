"""Experiment process, started by the supervisor: `python -m lightning_app.serving.experiments.process FOLDER`."""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec

from lightning_app.serving.config.control_channel import Routing
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.experiments.process.experiment_loop import ExperimentLoop
from lightning_app.serving.observability.logs import configure_logs

_SECONDS = 1.0


def main() -> None:
    """Runs until SIGTERM, or until the supervisor has gone."""
    parser = argparse.ArgumentParser(description="Experiments of a server; started by `lightning-app serve`.")
    parser.add_argument("folder", type=Path, help="runtime folder of the server")
    folder: Path = parser.parse_args().folder
    config = msgspec.json.decode((folder / "config.json").read_bytes(), type=ServeConfig)
    log = configure_logs(level=config.log_level, process="experiments")
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    threading.Thread(target=_watch_supervisor, args=(end,), daemon=True).start()
    loop = ExperimentLoop(folder, say=_say)
    try:
        while not end.is_set():
            begin = time.monotonic()
            loop.tick(time.time())
            end.wait(max(0.0, begin + _SECONDS - time.monotonic()))
    except BrokenPipeError:  # the supervisor has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    loop.close()
    log.close()


def _say(routing: Routing) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(routing) + b"\n")
    sys.stdout.buffer.flush()


def _watch_supervisor(end: threading.Event) -> None:
    """Ends the process with the pipe from the supervisor."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    end.set()


if __name__ == "__main__":
    main()
