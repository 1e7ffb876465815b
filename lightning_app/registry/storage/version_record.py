"""Version record: what a version's MLflow tags say about its package."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

DIGEST, FAMILY, TASK, METRICS = "package.digest", "package.family", "package.task", "package.metrics"
NAME, REGISTERED_BY = "package.name", "registered.by"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class VersionRecord:
    """A registered version.

    Attributes:
        name: Name of the model.
        number: Number of the version, from 1.
        digest: sha256 of the package's manifest.
        created: When it was registered, UTC.
        registered_by: `user@host` that registered it.
        family: Family of the package.
        task: Task of the package.
        metrics: Test metrics by name.
        run_id: MLflow run that holds the files.
    """

    name: str
    number: int
    digest: str
    created: datetime
    registered_by: str
    family: str
    task: str
    metrics: Mapping[str, float]
    run_id: str


def read_record(version: "ModelVersion") -> VersionRecord | None:
    """Reads the record of an MLflow version; None if it does not hold a package.

    Args:
        version: MLflow model version.
    """
    tags = version.tags
    if not _SHA256.fullmatch(tags.get(DIGEST, "")):  # untrusted, and used as a folder name
        return None  # registered by another application
    return VersionRecord(
        name=version.name,
        number=int(version.version),
        digest=tags[DIGEST],
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        registered_by=tags.get(REGISTERED_BY, "unknown"),
        family=tags.get(FAMILY, ""),
        task=tags.get(TASK, ""),
        metrics=json.loads(tags.get(METRICS, "{}")),
        run_id=version.run_id or "",
    )
