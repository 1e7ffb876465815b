"""ConfiguredSince: when a server was told each of its experiments, kept over restarts of the experiment process."""

from hashlib import sha256
from pathlib import Path

import msgspec

from lightning_app.atomic_write import write_whole
from lightning_app.serving.config.experiment_config import ExperimentConfig

_FILE = "experiments.json"


class _Told(msgspec.Struct, frozen=True):
    digest: str
    since: float


def configured_since(folder: Path, config: ExperimentConfig, now: float) -> float:
    """When the server was first told an experiment as it is configured now.

    Args:
        folder: Runtime folder of the server; a server that starts again has another.
        config: The experiment.
        now: Unix seconds, taken for one that is new or has been changed.
    """
    path = folder / _FILE
    told = msgspec.json.decode(path.read_bytes(), type=dict[str, _Told]) if path.exists() else {}
    digest = sha256(msgspec.json.encode(config)).hexdigest()
    known = told.get(config.name)
    if known is None or known.digest != digest:
        known = told[config.name] = _Told(digest, now)
        write_whole(path, msgspec.json.encode(told).decode())
    return known.since
