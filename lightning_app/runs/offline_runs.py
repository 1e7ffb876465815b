"""Reads what W&B wrote offline: runs without an account, a server, or torch.

A `.wandb` file is a log in LevelDB's framing (blocks of 32 KiB; a record is whole, or in parts where it meets the end
of a block) after a header of seven bytes; its records are protobuf messages that ship with W&B. It is written block by
block, and every 15 s: the last rows of a process that was killed never reach the file.
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
    """An artifact that was logged.

    Attributes:
        name: Its name.
        type: Its type.
        digest: Of its contents.
        files: Size in bytes of each of its files.
    """

    name: str
    type: str
    digest: str
    files: dict[str, int]


@dataclass
class OfflineRun:
    """What was logged to one run.

    Attributes:
        id: Its id; folders of the same id are one run, in the order of their start.
        name: The name that is shown.
        project: Its project.
        group: Its group.
        job_type: Its job type.
        tags: Its tags, as they were at last.
        config: Nested.
        history: A dict per logged row, W&B's `_step`, `_timestamp` and `_runtime` among them.
        summary: Nested.
        exit_code: None if the run was never finished.
        artifacts: Each once.
        files: Where the files lie that were saved with the run.
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
        """As W&B would show it; `crashed` also stands for a run that is still going on."""
        if self.exit_code is None:
            return "crashed"
        return "failed" if self.exit_code else "finished"

    def column(self, name: str) -> list[Any]:
        """The values of one metric, in the order of logging, of the rows that have it."""
        return [row[name] for row in self.history if name in row]


def read_offline_runs(root: str | Path) -> list[OfflineRun]:
    """All offline runs below a folder, in the order of their start.

    Args:
        root: Any folder: a run folder, a study, or that of all runs.

    Returns:
        One run per id. Of a file that breaks off, or is damaged, all records that are whole.
    """
    runs: dict[str, OfflineRun] = {}
    # offline-run-<day>_<second>-<id>: the names sort by time, wherever the folders lie.
    for path in sorted(Path(root).rglob("offline-run-*/run-*.wandb"), key=lambda path: path.parent.name):
        run_id = path.stem.removeprefix("run-")
        run = runs.setdefault(run_id, OfflineRun(run_id))
        run.exit_code = None
        for payload in _payloads(path.read_bytes()):
            _add(run, payload, path.parent / "files")
    return list(runs.values())


def read_offline_run(root: str | Path) -> OfflineRun:
    """The one offline run below a folder.

    Args:
        root: A folder, as of `read_offline_runs`.

    Raises:
        ValueError: There is none, or more than one.
    """
    runs = read_offline_runs(root)
    if len(runs) != 1:
        raise ValueError(f"{root}: one offline run is wanted, there are {[run.id for run in runs]}")
    return runs[0]


def _payloads(data: bytes) -> Iterator[bytes]:
    """The records of a file; after a damaged part it goes on with the next block."""
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
        given = record.run
        run.name, run.project, run.group = given.display_name, given.project, given.run_group
        run.job_type, run.tags = given.job_type, tuple(given.tags)
        _update(run.config, given.config.update)
        _update(run.summary, given.summary.update)
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


def _add_artifact(run: OfflineRun, given: Any) -> None:
    """W&B may write one artifact several times."""
    files = {entry.path: int(entry.size) for entry in given.manifest.contents}
    artifact = OfflineArtifact(given.name, given.type, given.digest, files)
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
