"""Manifest of a snapshot: files by sha256, schema, rows, clocks, parents, query, contract verdict and code version."""

import hashlib
from typing import Any

import msgspec

SCHEMA_VERSION = 1


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a snapshot.

    Attributes:
        path: Path inside the snapshot, with `/`.
        sha256: Checksum of its bytes, in hexadecimal.
        bytes: Its size.
        rows: Rows, if it is a table.
        schema: Column names and polars types, if it is a table.
    """

    path: str
    sha256: str
    bytes: int
    rows: int | None = None
    schema: dict[str, str] | None = None


class ClockRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First and last value of a clock.

    Attributes:
        column: Column that holds it.
        detected: Whether the column was detected by its name and type rather than given.
        first: Smallest value as text; None without any value.
        last: Largest value as text; None without any value.
    """

    column: str
    detected: bool
    first: str | None
    last: str | None


class ContractVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a data contract said of the tables when the snapshot was taken.

    Attributes:
        sha256: Checksum of the contract file.
        passed: Whether no rule of severity `error` was broken.
        broken: Rows that break each broken rule of any severity; 0 for rules on the whole table.
    """

    sha256: str
    passed: bool
    broken: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts of a snapshot. The id covers files, clock columns, parents, query and contract verdict.

    Attributes:
        schema_version: Version of this format.
        id: sha256 of the canonical JSON of what the id covers.
        files: Files, sorted by path.
        rows: Rows of all tables together.
        clocks: Ranges of `event_time`, `availability_time` and `load_time`, as far as there is a column for them.
        parents: Ids of snapshots that this one was made from.
        query: How it was made from them, in the user's words.
        contract: Verdict of a data contract; None if none was checked.
        source: Path that was read.
        code: Versions and commits of the code that took the snapshot; not part of the id.
        created: Time of the snapshot, ISO 8601 in UTC; not part of the id.
    """

    schema_version: int = SCHEMA_VERSION
    id: str
    files: list[FileEntry]
    rows: int
    clocks: dict[str, ClockRange]
    parents: list[str]
    query: str | None
    contract: ContractVerdict | None
    source: str
    code: dict[str, Any]
    created: str

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def schema(self) -> dict[str, str] | None:
        """Columns and types, if all tables have the same ones; else None."""
        schemas = [file.schema for file in self.files if file.schema is not None]
        return schemas[0] if schemas and all(schema == schemas[0] for schema in schemas) else None


def snapshot_id(
    *,
    files: list[FileEntry],
    clocks: dict[str, ClockRange],
    parents: list[str],
    query: str | None,
    contract: ContractVerdict | None,
) -> str:
    """Id of a snapshot, a sha256 in hexadecimal: the same content, from any place and at any time, has the same id."""
    identity = {
        "files": [[file.path, file.sha256, file.bytes] for file in files],
        "clocks": {name: clock.column for name, clock in clocks.items()},
        "parents": sorted(parents),
        "query": query,
        "contract": contract,
    }
    return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """Manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(data: bytes, *, where: str) -> Manifest:
    """Reads a manifest and checks its id.

    Args:
        data: JSON.
        where: Its address, for messages.

    Raises:
        ValueError: It is not a manifest, of a newer format, or was changed.
    """
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            raise ValueError(
                f"{where}: schema_version {version}, this version of lightning-r2p reads up to {SCHEMA_VERSION}; "
                "upgrade it"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{where} is not a manifest of a snapshot: {error}") from error
    expected = snapshot_id(
        files=manifest.files,
        clocks=manifest.clocks,
        parents=manifest.parents,
        query=manifest.query,
        contract=manifest.contract,
    )
    if manifest.id != expected:
        raise ValueError(f"{where} was changed: its content has the id {expected[:12]}, it says {manifest.id[:12]}")
    return manifest


class _Version(msgspec.Struct):
    schema_version: int
