"""Side processes: what a server runs beside its workers, depending on its configuration."""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from lightning_app.serving.config.control_channel import Routing
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.supervisor.kept_process import KeptProcess

_log = logging.getLogger("lightning_app.serving.supervisor")


def side_processes(config: ServeConfig, folder: Path, on_routing: Callable[[Routing], None]) -> list[KeptProcess]:
    """Processes that a configuration needs, not started yet.

    Args:
        config: The configuration.
        folder: Runtime folder of the server.
        on_routing: Called with each decision about who answers which share.
    """
    if config.journal.url is None:  # fixed shares, which the workers know from the configuration; nothing to monitor
        return []
    processes = []
    if any(model.experiment is not None or model.canary is not None for model in config.models):
        processes.append(
            KeptProcess(
                "lightning_app.serving.experiments.process", folder,
                name="experiment", meanwhile="shares stay as they are", on_line=_routing_reader(on_routing),
            )
        )  # fmt: skip
    if config.monitor is not None:
        processes.append(
            KeptProcess(
                "lightning_app.monitoring.process", folder,
                name="monitoring", meanwhile="its page stays as it is", on_line=_unexpected,
            )
        )  # fmt: skip
    return processes


def _routing_reader(on_routing: Callable[[Routing], None]) -> Callable[[bytes], None]:
    def read(line: bytes) -> None:
        try:
            on_routing(msgspec.json.decode(line, type=Routing))
        except msgspec.DecodeError as error:
            _log.error("a decision of the experiment process could not be read: %s", error)

    return read


def _unexpected(line: bytes) -> None:
    _log.warning("the monitoring process says: %s", line.decode(errors="replace").strip())
