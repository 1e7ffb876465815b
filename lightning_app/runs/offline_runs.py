"""Offline W&B runs: reads `.wandb` files without an account, a server, or torch.

A `.wandb` file is a log in LevelDB's framing (blocks of 32 KiB; a record that crosses the end of a block is split)
after a header of seven bytes; its records are protobuf messages whose classes ship with W&B. W&B flushes it block by
block, at least every 15 s: the last rows of a killed process may be missing.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

_MAGIC = b":W&B"
_HEADER = 7
_BLOCK = 32768
_PART = struct.Struct("<IHB")  # checksum, length, kind
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass(frozen=True)
class OfflineArtifact:
    """Artifact logged to a run.

    Attributes:
        name: Name.
        type: Type.
        digest: Digest of the contents.
        files: File path to size in bytes.
    """

    name: str
    type: str
    digest: str
    files: dict[str, int]


@dataclass
class OfflineRun:
    """Everything logged to one run.

    Attributes:
        id: Run id; folders with the same id are merged, in the order of their start.
        name: Display name.
        project: Project.
        group: Group.
        job_type: Job type.
        tags: Final tags.
        config: Nested config.
        history: One dict per logged row, including W&B's `_step`, `_timestamp` and `_runtime`.
        summary: Nested summary.
        exit_code: Exit code; None if the run did not finish.
        artifacts: Artifacts without duplicates.
        files: Paths of the files saved with the run.
    """

    id: str
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    artifacts: list[OfflineArtifact] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def state(self) -> Literal["finished", "failed", "crashed"]:
        """State as the W&B pages show it; `crashed` also covers a run that is still in progress."""
        if self.exit_code is None:
            return "crashed"
        return "failed" if self.exit_code else "finished"

    def column(self, name: str) -> list[Any]:
        """Values of one metric in the order of logging, of the rows that have it."""
        return [row[name] for row in self.history if name in row]


def read_offline_runs(root: str | Path) -> list[OfflineRun]:
    """Reads all offline runs below a folder, in the order of their start.

    Args:
        root: Folder to search recursively: a run folder, a study, or the folder of all runs.

    Returns:
        One run per id. Of a truncated or damaged file, all intact records are read.
    """
    runs: dict[str, OfflineRun] = {}
    # offline-run-<day>_<second>-<id>: the folder names sort by time.
    for path in sorted(Path(root).rglob("offline-run-*/run-*.wandb"), key=lambda path: path.parent.name):
        run_id = path.stem.removeprefix("run-")
        run = runs.setdefault(run_id, OfflineRun(run_id))
        run.exit_code = None
        for payload in _payloads(path.read_bytes()):
            _add(run, payload, path.parent / "files")
    return list(runs.values())


def read_offline_run(root: str | Path) -> OfflineRun:
    """Reads the only offline run below a folder.

    Args:
        root: Folder, see `read_offline_runs`.

    Raises:
        ValueError: There is no run, or more than one.
    """
    runs = read_offline_runs(root)
    if len(runs) != 1:
        raise ValueError(f"{root}: exactly one offline run is needed, there are {[run.id for run in runs]}")
    return runs[0]


def _payloads(data: bytes) -> Iterator[bytes]:
    """Yields the records of a file; after a damaged part, continues with the next block."""
    if data[: len(_MAGIC)] != _MAGIC:
        return
    offset, parts, started = _HEADER, b"", False
    while offset + _PART.size <= len(data):
        left = _BLOCK - offset % _BLOCK
        if left < _PART.size:
            offset += left
            continue
        checksum, length, kind = _PART.unpack_from(data, offset)
        part = data[offset + _PART.size : offset + _PART.size + length]
        if len(part) < length or zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:
            offset += left
            started = False
            continue
        offset += _PART.size + length
        if kind in (_WHOLE, _FIRST):
            parts, started = part, True
        else:
            parts += part
        if kind in (_WHOLE, _LAST) and started:
            yield parts
            started = False


def _add(run: OfflineRun, payload: bytes, folder: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]  # its names come with a star import
    record.ParseFromString(payload)
    kind = record.WhichOneof("record_type")
    if kind == "run":
        header = record.run
        run.name, run.project, run.group = header.display_name, header.project, header.run_group
        run.job_type, run.tags = header.job_type, tuple(header.tags)
        _update(run.config, header.config.update)
        _update(run.summary, header.summary.update)
    elif kind == "config":
        _update(run.config, record.config.update)
        _remove(run.config, record.config.remove)
    elif kind == "summary":
        _update(run.summary, record.summary.update)
        _remove(run.summary, record.summary.remove)
    elif kind == "history":
        row: dict[str, Any] = {}
        _update(row, record.history.item)
        run.history.append(row)
    elif kind == "exit":
        run.exit_code = record.exit.exit_code
    elif kind == "artifact":
        _add_artifact(run, record.artifact)
    elif kind == "files":
        named = [folder / file.path for file in record.files.files]
        run.files += [path for path in named if path not in run.files]


def _add_artifact(run: OfflineRun, logged: Any) -> None:
    """Adds an artifact once, although W&B may record it several times."""
    files = {entry.path: int(entry.size) for entry in logged.manifest.contents}
    artifact = OfflineArtifact(logged.name, logged.type, logged.digest, files)
    if artifact not in run.artifacts:
        run.artifacts.append(artifact)


def _update(target: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *parents, last = _path(item)
        inner = target
        for name in parents:
            if not isinstance(inner.get(name), dict):
                inner[name] = {}
            inner = inner[name]
        inner[last] = json.loads(item.value_json)


def _remove(target: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *parents, last = _path(item)
        inner: Any = target
        for name in parents:
            inner = inner.get(name, {})
        inner.pop(last, None)


def _path(item: Any) -> list[str]:
    return list(item.nested_key) or [item.key]
