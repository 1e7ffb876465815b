"""A registered version, as the tags of MLflow's version say."""

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
        number: Of the version, from 1.
        digest: sha256 of the package's manifest.
        created: When it was registered, UTC.
        registered_by: Who registered it.
        family: Of the package.
        task: Of the package.
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
    """What a version of MLflow says, None if it is none of a package.

    Args:
        version: As MLflow has it.
    """
    tags = version.tags
    if not _SHA256.fullmatch(tags.get(DIGEST, "")):  # it becomes the name of a folder
        return None  # registered by something else
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
