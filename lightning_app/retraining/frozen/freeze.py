"""Freeze: the rows that a cycle trains and is judged on, at one cut, from the journal and history tables."""

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from features.definitions.duration import seconds
from features.versions.manifest import FileEntry
from lightning_app.atomic_write import sync_file, sync_folder
from lightning_app.packaging import Package
from lightning_app.retraining.config.policy import DataPolicy, RetrainPolicy
from lightning_app.retraining.frozen.contract_check import check_rows, contract_of
from lightning_app.retraining.frozen.errors import FreezeError, TooFewRowsError
from lightning_app.retraining.frozen.frozen_set import (
    AVAILABLE,
    CONTEXT,
    EVALUATION,
    EVENT,
    MANIFEST,
    TRAIN,
    ClockRange,
    FrozenManifest,
    FrozenSet,
    FrozenTable,
    digest_of,
    read_frozen_set,
    sha256_of,
)
from lightning_app.retraining.frozen.labelled_rows import VERSION, history_rows, journal_rows, together
from lightning_app.retraining.frozen.maturity import mature_rows
from lightning_app.retraining.frozen.split import Split, split_in_time
from lightning_app.serving.journal.stores.protocol import JournalReader

_PARTIAL = ".partial"


def freeze(
    policy: RetrainPolicy, *, reader: JournalReader, cut: float, folder: Path, package: Package | None = None
) -> FrozenSet:
    """Freezes the data of a cycle; a set that is there already, of the same policy and cut, is read and verified.

    Args:
        policy: The policy.
        reader: Journal of the answers and outcomes.
        cut: Unix seconds: nothing that became known later is used.
        folder: Where the set is written; appears complete or not at all, and is never changed.
        package: Package of the champion, whose data contract counts if the policy names none.

    Raises:
        BrokenContractError: The rows violate the data contract.
        TooFewRowsError: There are too few rows to train or to judge.
        FreezeError: The rows are not what the policy says, or the folder holds another frozen set.
        JournalError: The journal cannot be read.
    """
    data = policy.data
    policy_digest = digest_of_policy(data)
    if (folder / MANIFEST).exists():
        existing = read_frozen_set(folder)
        if (existing.manifest.cut, existing.manifest.policy) != (cut, policy_digest):
            raise FreezeError(f"frozen: {folder} holds data of another cut or policy, and is never changed")
        return existing
    oldest = None if data.train_window is None else cut - seconds(data.train_window)
    since = oldest if oldest is not None and data.time is None else 0.0
    parts = [journal_rows(reader, policy.model, data, since=since, cut=cut)]
    parts += [history_rows(path, data) for path in data.history]
    rows = together(parts)
    mature_after = pl.lit(timedelta(seconds=seconds(data.mature_after)))
    mature = mature_rows(
        rows.table,
        data,
        cut=pl.lit(_moment(cut)),
        mature_after=mature_after,
        oldest=None if oldest is None else pl.lit(_moment(oldest)),
    )
    left_out = rows.left_out | mature.left_out
    checked = check_rows(mature.table, contract_of(data.contract, package), label=data.outcome, cut=_moment(cut))
    if checked.quarantined:
        left_out["quarantined by the contract"] = checked.quarantined
    if checked.table.is_empty():
        raise _too_few("mature rows", 0, data.minimum_rows.train + data.minimum_rows.evaluation, left_out)
    window = pl.lit(timedelta(seconds=seconds(data.evaluation_window)))
    split = split_in_time(checked.table, window=window, mature_after=mature_after)
    for name, table, needed in (
        ("evaluation", split.evaluation, data.minimum_rows.evaluation),
        ("train", split.train, data.minimum_rows.train),
    ):
        if len(table) < needed:
            raise _too_few(f"rows for {name} (data.minimum_rows.{name})", len(table), needed, left_out)
    notes = (*dict.fromkeys(rows.notes), *checked.notes)
    draft = FrozenManifest(
        digest="",
        model=policy.model,
        cut=cut,
        boundary=split.boundary[0].timestamp(),
        policy=policy_digest,
        label=data.outcome,
        tables={},
        left_out=left_out | ({"embargo before the evaluation": len(split.context)} if len(split.context) else {}),
        corrected=mature.corrected,
        contract=checked.verdict,
        journal=reader.url,
        notes=notes,
    )
    return _write(draft, split, data, folder)


def digest_of_policy(data: DataPolicy) -> str:
    """Digest of what a policy says of its data.

    Args:
        data: The section.
    """
    return hashlib.sha256(msgspec.json.encode(data, order="deterministic")).hexdigest()


def _write(draft: FrozenManifest, split: Split, data: DataPolicy, folder: Path) -> FrozenSet:
    partial = folder.with_name(f"{folder.name}{_PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)  # of a freeze that was killed
    partial.mkdir(parents=True)
    tables = {}
    for name, table in ((TRAIN, split.train), (EVALUATION, split.evaluation), (CONTEXT, split.context)):
        if name == CONTEXT and table.is_empty():
            continue
        table.write_parquet(partial / name, compression="zstd")
        tables[name] = _facts(partial / name, table, data)
    manifest = msgspec.structs.replace(draft, tables=tables)
    manifest = msgspec.structs.replace(manifest, digest=digest_of(manifest))
    (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    for file in partial.iterdir():
        file.chmod(0o444)
        sync_file(file)
    sync_folder(partial)
    try:
        partial.rename(folder)
    except OSError as error:
        raise FreezeError(f"frozen: {folder} cannot be written: {error.strerror}") from error
    sync_folder(folder.parent)
    return FrozenSet(folder=folder, manifest=manifest)


def _facts(file: Path, table: pl.DataFrame, data: DataPolicy) -> FrozenTable:
    later = seconds(data.mature_after)
    event, available = _range(table[EVENT]), _range(table[AVAILABLE])
    versions = table.group_by(VERSION).len().sort(VERSION, nulls_last=True)
    return FrozenTable(
        file=FileEntry(
            path=file.name,
            sha256=sha256_of(file),
            bytes=file.stat().st_size,
            rows=len(table),
            schema={name: str(kind) for name, kind in table.schema.items()},
        ),
        event=event,
        available=available,
        mature=ClockRange(
            first=None if event.first is None else event.first + later,
            last=None if event.last is None else event.last + later,
        ),
        versions={"none" if version is None else str(version): count for version, count in versions.iter_rows()},
    )


def _range(times: pl.Series) -> ClockRange:
    first, last = times.min(), times.max()
    return ClockRange(
        first=first.timestamp() if isinstance(first, datetime) else None,
        last=last.timestamp() if isinstance(last, datetime) else None,
    )


def _too_few(what: str, rows: int, needed: int, left_out: dict[str, int]) -> TooFewRowsError:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "nothing"
    return TooFewRowsError(
        f"frozen: {rows:,} {what}, {needed:,} are needed; left out: {reasons}", rows=rows, needed=needed
    )


def _moment(seconds_: float) -> datetime:
    return datetime.fromtimestamp(seconds_, UTC)
