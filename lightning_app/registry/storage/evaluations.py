"""Further evaluations: errors of a version on data that it was not exported with, kept beside its package."""

import hashlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST
from lightning_app.packaging.format.parquet_table import read_table
from lightning_app.registry.storage.mlflow_client import RegistryClient
from lightning_app.registry.storage.version_record import VersionRecord

if TYPE_CHECKING:
    import polars as pl

FOLDER = "evaluations"
"""Artifact path in the run of a version; in it a folder for each data."""
_ERRORS, _FACTS = "errors.parquet", "facts.json"
_COLUMNS = ("row", "error")


@dataclass(frozen=True)
class FurtherEvaluation:
    """Errors of a version on some data.

    Attributes:
        data: Fingerprint of the data, with its `sha256`.
        errors: Columns `row`, `error`, and one per slice, as in `evaluation.parquet` of a package.
        made: When it was added, ISO 8601.
        by: `user@host` that added it.
    """

    data: Mapping[str, Any]
    errors: "pl.DataFrame"
    made: str
    by: str

    def __str__(self) -> str:
        return f"{self.data.get('kind', 'data')} {str(self.data['sha256'])[:12]}"


class _Facts(msgspec.Struct, kw_only=True):
    data: dict[str, Any]
    errors: str
    made: str
    by: str


class EvaluationFiles:
    """Uploads and downloads further evaluations.

    Args:
        client: Client of the registry.
    """

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def add(self, record: VersionRecord, table: "pl.DataFrame", data: Mapping[str, Any]) -> None:
        """Adds an evaluation; one on the same data is replaced. It is visible once it is complete.

        Args:
            record: The version.
            table: As of `FurtherEvaluation`.
            data: As of `FurtherEvaluation`.

        Raises:
            UsageError: The table or the fingerprint is not of this form.
        """
        missing = [name for name in _COLUMNS if name not in table.columns]
        if missing or not len(table):
            raise UsageError(f"table: {missing[0] if missing else 'rows'} missing; row and error are needed")
        if table["row"].is_duplicated().any() or not table["error"].is_finite().all():
            raise UsageError("table: a row is there twice, or an error is not finite")
        sha256 = data.get("sha256")
        if not isinstance(sha256, str) or len(sha256) != 64:
            raise UsageError(f"data: sha256 {sha256!r} given, the checksum of the data in hexadecimal is needed")
        content = io.BytesIO()
        table.write_parquet(content, compression="zstd")
        facts = _Facts(
            data=dict(data),
            errors=hashlib.sha256(content.getvalue()).hexdigest(),
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            by=USER_AT_HOST,
        )
        with tempfile.TemporaryDirectory() as scratch, self._client.translated():
            for name, written in ((_ERRORS, content.getvalue()), (_FACTS, msgspec.json.encode(facts))):
                file = Path(scratch) / name
                file.write_bytes(written)
                self._client.mlflow.log_artifact(record.run_id, str(file), f"{FOLDER}/{sha256}")

    def read(self, record: VersionRecord) -> list[FurtherEvaluation]:
        """All complete evaluations of a version.

        Args:
            record: The version.
        """
        found = []
        with self._client.translated(), tempfile.TemporaryDirectory() as scratch:
            for folder in self._client.mlflow.list_artifacts(record.run_id, FOLDER):
                place = Path(scratch) / folder.path.rsplit("/", 1)[-1]
                place.mkdir()
                path = Path(self._client.mlflow.download_artifacts(record.run_id, folder.path, str(place)))
                if (evaluation := _read(path)) is not None:
                    found.append(evaluation)
        return found


def _read(folder: Path) -> FurtherEvaluation | None:
    """An evaluation; None if it is incomplete, or was replaced in the meantime."""
    try:
        facts = msgspec.json.decode((folder / _FACTS).read_bytes(), type=_Facts)
        content = (folder / _ERRORS).read_bytes()
    except (OSError, msgspec.MsgspecError):
        return None
    if hashlib.sha256(content).hexdigest() != facts.errors:
        return None
    return FurtherEvaluation(
        data=facts.data, errors=read_table(folder / _ERRORS, name=_ERRORS), made=facts.made, by=facts.by
    )
