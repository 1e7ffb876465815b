"""Registry store: models, versions and aliases in MLflow."""

import json
from collections.abc import Mapping
from pathlib import Path

from lightning_app.identity import USER_AT_HOST
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.evaluations import EvaluationFiles
from lightning_app.registry.storage.journal_entries import JournalEntries
from lightning_app.registry.storage.mlflow_client import RegistryClient
from lightning_app.registry.storage.reference import JOURNAL_SUFFIX
from lightning_app.registry.storage.version_files import MODEL_FOLDER, VersionFiles
from lightning_app.registry.storage.version_record import (
    DIGEST,
    FAMILY,
    METRICS,
    NAME,
    REGISTERED_BY,
    TASK,
    VersionRecord,
    read_record,
)


class MlflowStore:
    """Models, versions and aliases of one registry.

    Args:
        address: Address of the registry.
        create: Whether to create the database of an embedded registry if it is missing.
        timeout: Seconds that a server has to answer.

    Attributes:
        files: Files of the versions.
        evaluations: Further evaluations of the versions.
        journal: Entries of the promotion journals.

    Raises:
        RegistryUnreachableError: There is no registry at the address, or it does not answer.
    """

    def __init__(self, address: RegistryAddress, *, create: bool = False, timeout: float = 5.0) -> None:
        self._client = RegistryClient(address, create=create, timeout=timeout)
        self.files = VersionFiles(self._client)
        self.evaluations = EvaluationFiles(self._client)
        self.journal = JournalEntries(self._client)

    def names(self) -> list[str]:
        """Names of all models, without journals."""
        return sorted(name for name in self._client.model_names() if not name.endswith(JOURNAL_SUFFIX))

    def versions(self, name: str) -> list[VersionRecord]:
        """Versions of a model that this application registered, oldest first; empty if there is no such model.

        Args:
            name: Name of the model.
        """
        records = (read_record(version) for version in self._client.model_versions(name))
        return sorted((record for record in records if record is not None), key=lambda record: record.number)

    def aliases(self, name: str) -> dict[str, int]:
        """Alias to version number; empty if there is no such model.

        Args:
            name: Name of the model.
        """
        from mlflow.exceptions import MlflowException

        with self._client.translated():
            try:
                model = self._client.mlflow.get_registered_model(name)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
        return {alias: int(number) for alias, number in model.aliases.items()}

    def set_aliases(self, name: str, changes: Mapping[str, int | None]) -> None:
        """Sets aliases, one after another; repeating the call has no effect.

        Args:
            name: Name of the model.
            changes: Alias to version number; None removes the alias.
        """
        # MLflow raises when a missing alias is removed; setting an alias twice is fine.
        current = self.aliases(name) if None in changes.values() else {}
        with self._client.translated():
            for alias, number in changes.items():
                if number is None:
                    if alias in current:
                        self._client.mlflow.delete_registered_model_alias(name, alias)
                else:
                    self._client.mlflow.set_registered_model_alias(name, alias, str(number))

    def add_version(
        self, name: str, folder: Path, *, digest: str, family: str, task: str, metrics: Mapping[str, float], card: str
    ) -> int:
        """Uploads a model, then creates its version: a version is visible only once its files are complete.

        If two hosts register the same package at the same time, the version with the lower number stays.

        Args:
            name: Name of the model.
            folder: MLflow model, see `mlflow_model`.
            digest: sha256 of the package's manifest.
            family: Family of the package.
            task: Task of the package.
            metrics: Test metrics by name.
            card: Model card, Markdown.

        Returns:
            Number of the version.
        """
        tags = {DIGEST: digest, FAMILY: family, TASK: task, NAME: name, REGISTERED_BY: USER_AT_HOST}
        run = self.files.upload(name, folder, tags=tags, metrics=metrics)
        with self._client.translated():
            self._client.ensure_model(name)
            version = self._client.mlflow.create_model_version(
                name,
                f"{run.info.artifact_uri}/{MODEL_FOLDER}",
                run.info.run_id,
                tags={**tags, METRICS: json.dumps(dict(metrics), sort_keys=True)},
                description=card,
            )
            number = int(version.version)
            first = min(record.number for record in self.versions(name) if record.digest == digest)
            if first < number:
                self._client.mlflow.delete_model_version(name, str(number))
                self.files.remove(run.info.run_id, run.info.artifact_uri)
        return first
