"""Announcement of a server that is ready, in one line."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.security.exposure import exposure_note


def announce(
    address: str, config: ServeConfig, models: Sequence[ResolvedModel], *, grpc_address: str | None = None
) -> str:
    """One line on where what is served, and what its user has to know.

    Args:
        address: URL of the server.
        config: Configuration.
        models: Served models.
        grpc_address: Host and port of gRPC; None without.
    """
    grpc = [] if grpc_address is None else [f"gRPC on {grpc_address}"]
    return "; ".join((f"serving on {address}", *grpc, *facts(config, models)))


def facts(config: ServeConfig, models: Sequence[ResolvedModel]) -> list[str]:
    """Models, workers, journal and keys of a server.

    Args:
        config: Configuration.
        models: Served models.
    """
    num_workers = config.num_workers
    parts = [
        ", ".join(_described(model) for model in models),
        f"{num_workers} worker{'s' * (num_workers != 1)}",
        f"journal {_without_password(config.journal.url)}",
    ]
    if (note := exposure_note(config)) is not None:
        parts.append(note)
    if config.chaos is not None:
        number = len(config.chaos.faults)
        parts.append(f"CHAOS: {number} {'fault is' if number == 1 else 'faults are'} injected on purpose")
    return parts


def _described(model: ResolvedModel) -> str:
    return model.title if model.version is not None else f"{model.title} ({model.reference})"


def _without_password(url: str | None) -> str:
    if url is None:
        return "none"
    password = urlsplit(url).password
    return url if password is None else url.replace(f":{password}@", ":***@", 1)
