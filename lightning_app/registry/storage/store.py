"""Models, versions and aliases as MLflow keeps them."""

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.artifacts import check_root, local_folder, new_root
from lightning_app.registry.storage.database import create_database
from lightning_app.registry.storage.mlflow_errors import translated
from lightning_app.registry.storage.mlflow_model import PACKAGE_FOLDER
from lightning_app.registry.storage.reference import JOURNAL_SUFFIX
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

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

EXPERIMENT = "lightning-app"
"""The MLflow experiment whose runs hold the files of the versions."""
MODEL_FOLDER = "model"
_STALE_SECONDS = 24 * 3600
KIND, JOURNAL = "lightning_app.kind", "journal"
"""Tag of what looks like a model in MLflow and is none."""
# No usage reports to MLflow's makers, no minutes of retries, no bars and addresses between our lines.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowStore:
    """What is needed of MLflow, through its client; no state of the process is touched.

    Args:
        address: Where the registry is.
        create: Make the database of an embedded registry where it is missing.
        timeout: Seconds that a server has to answer.

    Raises:
        RegistryUnreachableError: It is not there.
    """

    def __init__(self, address: RegistryAddress, *, create: bool = False, timeout: float = 5.0) -> None:
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        if not (create and address.database is not None):
            address.check(timeout)
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise UsageError("registry: needs MLflow: pip install 'lightning-r2p[registry]'") from error
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # SQL of what it raises too
        self.address = address
        with translated(address):
            if create and address.database is not None:
                create_database(address.database)
            self._client = MlflowClient(tracking_uri=address.uri, registry_uri=address.uri)

    def names(self) -> list[str]:
        """Names of all models, journals left out."""
        with translated(self.address):
            found = _all_pages(lambda token: self._client.search_registered_models(page_token=token))
        return sorted(model.name for model in found if not model.name.endswith(JOURNAL_SUFFIX))

    def versions(self, name: str) -> list[VersionRecord]:
        """Versions of a model that this application registered, oldest first; none if there is no such model.

        Args:
            name: Name of the model.
        """
        found = (read_record(version) for version in self._raw_versions(name))
        return sorted((record for record in found if record is not None), key=lambda record: record.number)

    def aliases(self, name: str) -> dict[str, int]:
        """Alias to version number; none if there is no such model.

        Args:
            name: Name of the model.
        """
        from mlflow.exceptions import MlflowException

        with translated(self.address):
            try:
                model = self._client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
        return {alias: int(number) for alias, number in model.aliases.items()}

    def set_aliases(self, name: str, changes: Mapping[str, int | None]) -> None:
        """Points aliases at versions, one after another.

        Args:
            name: Name of the model.
            changes: Alias to version number; None takes the alias away.
        """
        # MLflow has no answer for an alias that is taken away twice; setting one twice does no harm.
        current = self.aliases(name) if None in changes.values() else {}
        with translated(self.address):
            for alias, number in changes.items():
                if number is None:
                    if alias in current:
                        self._client.delete_registered_model_alias(name, alias)
                else:
                    self._client.set_registered_model_alias(name, alias, str(number))

    def ensure_root(self, artifacts: str | None) -> None:
        """Makes the place of the packages if there is none yet.

        Args:
            artifacts: Where the user wants it; None wants nothing.

        Raises:
            UsageError: Nobody said where packages go, or the place is not to be seen from here.
        """
        with translated(self.address):
            self._experiment(artifacts)

    def lacks_files(self, record: VersionRecord, sizes: Mapping[str, int]) -> bool:
        """Whether files of a version are gone, or were cut off.

        Args:
            record: The version.
            sizes: Of each file of its package, by name.
        """
        with translated(self.address):
            found = self._client.list_artifacts(record.run_id, f"{MODEL_FOLDER}/{PACKAGE_FOLDER}")
        there = {file.path.rsplit("/", 1)[-1]: file.file_size for file in found}
        return any(name not in there or there[name] not in (size, None) for name, size in sizes.items())

    def restore_files(self, record: VersionRecord, folder: Path) -> None:
        """Uploads the files of a version again.

        Args:
            record: The version.
            folder: What MLflow loads, of the same package.
        """
        with translated(self.address):
            self._client.log_artifacts(record.run_id, str(folder), MODEL_FOLDER)

    def add_version(
        self, name: str, folder: Path, *, digest: str, family: str, task: str, metrics: Mapping[str, float], card: str
    ) -> int:
        """Uploads a model and makes a version of it; the version is the last step, so it is whole or not there.

        Of two hosts that do so at once with the same package, the lower number stays.

        Args:
            name: Name of the model.
            folder: What MLflow loads, see `mlflow_model`.
            digest: sha256 of the package's manifest.
            family: Of the package.
            task: Of the package.
            metrics: Test metrics by name.
            card: The model card, Markdown.

        Returns:
            Number of the version.
        """
        from mlflow.entities import Metric

        tags = {DIGEST: digest, FAMILY: family, TASK: task, NAME: name, REGISTERED_BY: USER_AT_HOST}
        with translated(self.address):
            experiment = self._experiment(None)
            self._remove_unfinished(experiment, name)
            run = self._client.create_run(experiment, tags=tags, run_name=name)
            now = int(datetime.now(UTC).timestamp() * 1000)
            self._client.log_batch(run.info.run_id, [Metric(key, value, now, 0) for key, value in metrics.items()])
            self._client.log_artifacts(run.info.run_id, str(folder), MODEL_FOLDER)
            self._client.set_terminated(run.info.run_id)
            self._ensure_model(name)
            version = self._client.create_model_version(
                name,
                f"{run.info.artifact_uri}/{MODEL_FOLDER}",
                run.info.run_id,
                tags={**tags, METRICS: json.dumps(dict(metrics), sort_keys=True)},
                description=card,
            )
            number = int(version.version)
            first = min(record.number for record in self.versions(name) if record.digest == digest)
            if first < number:
                self._client.delete_model_version(name, str(number))
                self._remove_run(run.info.run_id, run.info.artifact_uri)
        return first

    def download(self, record: VersionRecord, folder: Path) -> Path:
        """Fetches the package of a version, unverified.

        Args:
            record: The version.
            folder: An empty folder to put it into.

        Returns:
            The folder of the package.
        """
        with translated(self.address):
            path = f"{MODEL_FOLDER}/{PACKAGE_FOLDER}"
            return Path(self._client.download_artifacts(record.run_id, path, str(folder)))

    def describe_journal(self, name: str) -> None:
        """Says of the journal of a model, to people who look at MLflow's pages, that it is no model.

        Args:
            name: Name of the model.
        """
        journal = name + JOURNAL_SUFFIX
        with translated(self.address):
            if self._client.get_registered_model(journal).tags.get(KIND) != JOURNAL:
                self._client.set_registered_model_tag(journal, KIND, JOURNAL)
                self._client.update_registered_model(journal, _about_journal(name))

    def append_entry(self, name: str, *, text: str, tags: Mapping[str, str], version: int, is_first: bool) -> int:
        """Adds an entry to the journal of a model; its number is given out by the registry, once.

        Args:
            name: Name of the model.
            text: The entry.
            tags: For people who look at MLflow's pages.
            version: The version that the entry is about.
            is_first: Whether there may be no journal yet.

        Returns:
            Number of the entry, larger than all before.
        """
        with translated(self.address):
            if is_first:
                self._ensure_model(name + JOURNAL_SUFFIX)
            entry = self._client.create_model_version(
                name + JOURNAL_SUFFIX,
                f"models:/{name}/{version}",
                tags=dict(tags),
                description=text,
                await_creation_for=0,
            )
        return int(entry.version)

    def mark_entry(self, name: str, number: int, *, key: str, value: str) -> None:
        """Sets a tag of a journal's entry.

        Args:
            name: Name of the model.
            number: Of the entry.
            key: Of the tag.
            value: Of the tag.
        """
        with translated(self.address):
            self._client.set_model_version_tag(name + JOURNAL_SUFFIX, str(number), key, value)

    def entries(self, name: str) -> list[tuple[int, str, Mapping[str, str]]]:
        """Number, text and tags of each entry of a model's journal, in order.

        Args:
            name: Name of the model.
        """
        found = self._raw_versions(name + JOURNAL_SUFFIX)
        return sorted((int(entry.version), entry.description or "", entry.tags) for entry in found)

    def _raw_versions(self, name: str) -> list["ModelVersion"]:
        with translated(self.address):
            return _all_pages(
                lambda token: self._client.search_model_versions(f"name = '{name}'", page_token=token, max_results=1000)
            )

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _experiment(self, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            place = new_root(self.address, artifacts)
            try:
                identity = str(self._client.create_experiment(EXPERIMENT, artifact_location=place))
                if place is not None and (folder := local_folder(place)) is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                return identity
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(EXPERIMENT)
                assert found is not None
        check_root(self.address, found.artifact_location, artifacts)
        return str(found.experiment_id)

    def _remove_unfinished(self, experiment: str, name: str) -> None:
        """Uploads of this user and machine that were killed: only one process registers a name at a time."""
        query = (
            f"attributes.status = 'RUNNING' and tags.`{NAME}` = '{name}' and tags.`{REGISTERED_BY}` = '{USER_AT_HOST}'"
        )
        # The lock of a file is beside it; elsewhere another cache of this user has another lock, and may be uploading.
        before = time.time() - (0 if self.address.database is not None else _STALE_SECONDS)
        for run in self._client.search_runs([experiment], query):
            if run.info.start_time > 1000 * before:
                continue
            self._client.set_terminated(run.info.run_id, "KILLED")
            self._remove_run(run.info.run_id, run.info.artifact_uri)

    def _remove_run(self, identity: str, artifacts: str) -> None:
        self._client.delete_run(identity)
        folder = None if self.address.is_server else local_folder(artifacts)
        if folder is not None and folder.parent.name == identity:
            shutil.rmtree(folder.parent, ignore_errors=True)


def _about_journal(name: str) -> str:
    return (
        f"The journal of {name}, kept by lightning-app; no model. Each of its versions is an entry: who promoted or "
        f"rolled back which version of {name}, when, and what the gates said. See `lightning-app models show {name}`."
    )


def _all_pages(search: Any) -> list[Any]:
    found, token = [], None
    while True:
        page = search(token)
        found.extend(page)
        token = page.token
        if not token:
            return found
