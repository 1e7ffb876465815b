"""Key file: the API keys of a server as YAML or JSON; it holds hashes, never the keys themselves."""

import json
import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from lightning_app.atomic_write import replacing, sync_folder
from lightning_app.errors import UsageError, nearest

Scope = Literal["predict", "feedback", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KeyId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Positive = Annotated[float, Meta(gt=0, le=1e6)]
_Count = Annotated[int, Meta(ge=1, le=2**53)]
_MAX_BYTES = 16 * 2**20
_HEAD = "# API keys of a server, hashed; written by `lightning-app keys`, which keeps no comments.\n"


class KeyEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One API key.

    Attributes:
        id: Name of the key, the part before its dot; it is logged and journalled.
        sha256: Hash of the whole key. A fast hash is safe because keys are 256 random bits: no list can be tried.
        scopes: What it allows: `predict`, `feedback`, `admin`.
        rate: Requests per second; None does not limit them.
        burst: Requests that may come at once; None takes one second's worth, at least one.
        rows_per_day: Rows of predictions per day (UTC), a guard against copying the model by asking; None: no limit.
        models: Models that it may ask, by their name in addresses; None allows all.
        expires: When it ends; None never. A date without a time means midnight UTC.
        created: When it was made.
    """

    id: KeyId
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    rate: _Positive | None = None
    burst: _Count | None = None
    rows_per_day: _Count | None = None
    models: Annotated[list[str], Meta(min_length=1)] | None = None
    expires: str | None = None
    created: str | None = None


class _KeyFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: list[KeyEntry] = []


def read_key_file(path: Path) -> list[KeyEntry]:
    """Reads a key file.

    Args:
        path: YAML or JSON file.

    Raises:
        UsageError: It is missing, invalid, readable by everyone or writable by others; names the key and the field.
    """
    import yaml  # a server without keys needs none

    try:
        with path.open("rb") as file:
            _check_mode(path, os.fstat(file.fileno()))
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"keys: {path} cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"keys: {path} has more than {_MAX_BYTES:,} bytes")
    try:
        content = yaml.safe_load(raw.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"keys: {path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        entries = msgspec.convert(_with_dates_as_text(content or {}), _KeyFile).keys
    except msgspec.ValidationError as error:
        raise UsageError(f"keys: {path}: {error}{_hint(str(error))}") from error
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise UsageError(f"keys: {path}: two keys have the id {entry.id!r}; revoke one, or rename it")
        seen.add(entry.id)
        if entry.burst is not None and entry.rate is None:
            raise UsageError(f"keys: {path}: {entry.id}.burst is given without rate")
        try:
            expiry(entry)
        except ValueError as error:
            raise UsageError(f"keys: {path}: {entry.id}.expires: {entry.expires!r} is no ISO 8601 date") from error
    return entries


def expiry(entry: KeyEntry) -> float:
    """When a key ends, in Unix seconds; infinity if never.

    Args:
        entry: The key.

    Raises:
        ValueError: `expires` is no ISO 8601 date or time.
    """
    if entry.expires is None:
        return float("inf")
    when = datetime.fromisoformat(entry.expires)
    return (when if when.tzinfo is not None else datetime.fromisoformat(f"{when.isoformat()}+00:00")).timestamp()


def write_key_file(path: Path, entries: list[KeyEntry]) -> None:
    """Replaces a key file, readable by its owner alone; a server reads either the old keys or the new ones.

    Args:
        path: The file; `.json` writes JSON, anything else YAML.
        entries: All keys.
    """
    content = {"keys": [msgspec.to_builtins(entry) for entry in entries]}
    text = json.dumps(content, indent=2) + "\n" if path.suffix == ".json" else _HEAD + _yaml(content)
    with replacing(path, size=len(text), durable=True) as partial:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    sync_folder(path.parent)


def _yaml(content: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=200)
    return text


def _check_mode(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"keys: {path} is no file")
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        mode = stat.S_IMODE(status.st_mode)
        raise UsageError(
            f"keys: {path} has the mode {mode:04o}, so others can read or change it; run chmod 600 {path.name}"
        )


def _with_dates_as_text(content: Any) -> Any:
    """YAML reads 2027-01-01 as a date, JSON as text."""
    if isinstance(content, dict):
        return {key: _with_dates_as_text(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_dates_as_text(value) for value in content]
    return content.isoformat() if hasattr(content, "isoformat") else content


def _hint(message: str) -> str:
    if "unknown field `" not in message:
        return ""
    given = message.partition("unknown field `")[2].partition("`")[0]
    return nearest(given, [*KeyEntry.__struct_fields__, *_KeyFile.__struct_fields__])
