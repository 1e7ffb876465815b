"""FrozenSet: a folder with the rows that a cycle trains and is judged on, and the manifest that says what they are."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec import Struct

from features.versions.manifest import ContractVerdict, FileEntry
from lightning_app.retraining.frozen.errors import FreezeError

MANIFEST = "manifest.json"
TRAIN, EVALUATION, CONTEXT = "train.parquet", "evaluation.parquet", "context.parquet"
EVENT, AVAILABLE = "journal.event_time", "journal.available_time"
"""Columns of the clocks in the tables."""
SCHEMA_VERSION = 1


class ClockRange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First and last value of a clock, Unix seconds; None without rows.

    Attributes:
        first: Smallest value.
        last: Largest value.
    """

    first: float | None
    last: float | None


class FrozenTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of a frozen set.

    Attributes:
        file: Path in the folder, checksum, size, rows and schema.
        event: When the rows happened.
        available: When their labels became known.
        mature: When their labels were final, as the policy says.
        versions: Rows by version that answered; `none` for those of history tables.
    """

    file: FileEntry
    event: ClockRange
    available: ClockRange
    mature: ClockRange
    versions: dict[str, int]


class FrozenManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts of a frozen set. The digest covers all but journal and notes.

    Attributes:
        digest: sha256 of what it covers: the same rows, frozen at the same cut by the same policy, have the same one.
        model: Name of the model.
        cut: When it was frozen, Unix seconds: what became known later is not in it.
        boundary: Begin of the evaluation window, Unix seconds.
        policy: sha256 of the data section of the policy.
        label: Column of the labels.
        tables: By name of their file.
        left_out: Rows and requests that are in no table, by reason.
        corrected: Rows whose label was corrected after it had become known.
        contract: Verdict of the data contract; None without one.
        journal: Address of the journal, without its password.
        notes: What a reader has to know.
        schema_version: Version of this format.
    """

    digest: str
    model: str
    cut: float
    boundary: float
    policy: str
    label: str
    tables: dict[str, FrozenTable]
    left_out: dict[str, int]
    corrected: int
    contract: ContractVerdict | None
    journal: str
    notes: tuple[str, ...]
    schema_version: int = SCHEMA_VERSION


class FrozenSet(Struct, frozen=True, kw_only=True):
    """A frozen set.

    Attributes:
        folder: Its folder.
        manifest: Its manifest.
    """

    folder: Path
    manifest: FrozenManifest

    @property
    def train(self) -> Path:
        """File of the rows to train on: columns of the requests, the label, and facts of the journal (`journal.*`)."""
        return self.folder / TRAIN

    @property
    def evaluation(self) -> Path:
        """File of the later rows that champion and candidate are compared on."""
        return self.folder / EVALUATION

    @property
    def digest(self) -> str:
        """Digest of the content."""
        return self.manifest.digest

    def evaluation_rows(self) -> pl.DataFrame:
        """Rows of the evaluation, in the order of time."""
        return pl.read_parquet(self.evaluation)

    def context_rows(self) -> pl.DataFrame:
        """Rows before the evaluation, in the order of time, which features of history read."""
        parts = [pl.read_parquet(self.folder / name) for name in (TRAIN, CONTEXT) if name in self.manifest.tables]
        return pl.concat(parts, how="diagonal_relaxed").sort(EVENT, maintain_order=True)

    def evaluation_data(self) -> dict[str, Any]:
        """Fingerprint of the evaluation, as `Registry.add_evaluation` takes it."""
        table = self.manifest.tables[EVALUATION]
        return {
            "kind": "frozen evaluation",
            "sha256": table.file.sha256,
            "rows": table.file.rows,
            "from": table.event.first,
            "until": table.event.last,
        }


def read_frozen_set(folder: Path) -> FrozenSet:
    """Reads and verifies a frozen set.

    Args:
        folder: Its folder.

    Raises:
        FreezeError: There is none, or it was changed.
    """
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=FrozenManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise FreezeError(f"frozen: {path} is no manifest of a frozen set: {error}") from error
    for name, table in manifest.tables.items():
        file = folder / name
        actual = sha256_of(file) if file.is_file() else "missing"
        if actual != table.file.sha256:
            raise FreezeError(f"frozen: {file} was changed (sha256 {actual[:12]}, frozen as {table.file.sha256[:12]})")
    if manifest.digest != digest_of(manifest):
        raise FreezeError(f"frozen: {path} was changed: it does not have the digest that it says")
    return FrozenSet(folder=folder, manifest=manifest)


def digest_of(manifest: FrozenManifest) -> str:
    """Digest of the content that a manifest names.

    Args:
        manifest: The manifest; its own digest is not read.
    """
    covered = msgspec.to_builtins(manifest)
    for name in ("digest", "journal", "notes"):
        del covered[name]
    return hashlib.sha256(msgspec.json.encode(covered, order="deterministic")).hexdigest()


def sha256_of(path: Path) -> str:
    """Checksum of a file.

    Args:
        path: The file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
