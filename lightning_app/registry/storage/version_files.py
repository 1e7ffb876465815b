"""Files of versions in MLflow: each version's package is an artifact of a run in one experiment."""

import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.identity import USER_AT_HOST
from lightning_app.packaging.format.folder import SIGNATURE
from lightning_app.registry.storage.artifacts import check_root, local_folder, new_root
from lightning_app.registry.storage.mlflow_client import RegistryClient
from lightning_app.registry.storage.mlflow_model import PACKAGE_FOLDER
from lightning_app.registry.storage.version_record import NAME, REGISTERED_BY, VersionRecord

if TYPE_CHECKING:
    from mlflow.entities import Run

EXPERIMENT = "lightning-app"
"""MLflow experiment whose runs hold the files of the versions."""
MODEL_FOLDER = "model"
"""Artifact path of the MLflow model in a run."""
_STALE_SECONDS = 24 * 3600


class VersionFiles:
    """Uploads, checks and downloads the files of versions.

    Args:
        client: Client of the registry.
    """

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def ensure_root(self, artifacts: str | None) -> None:
        """Creates the artifact root of the registry if it has none yet.

        Args:
            artifacts: Folder or URI that the user asks for; None accepts any.

        Raises:
            UsageError: The registry needs a root and none was named, or the root is not accessible from here.
        """
        with self._client.translated():
            self._experiment(artifacts)

    def upload(self, name: str, folder: Path, *, tags: Mapping[str, str], metrics: Mapping[str, float]) -> "Run":
        """Uploads an MLflow model as a new run; removes what killed uploads of this model have left.

        Args:
            name: Name of the model.
            folder: MLflow model, see `mlflow_model`.
            tags: Tags of the run.
            metrics: Test metrics by name.

        Returns:
            The run.
        """
        from mlflow.entities import Metric

        mlflow = self._client.mlflow
        with self._client.translated():
            experiment = self._experiment(None)
            self._remove_unfinished(experiment, name)
            run = mlflow.create_run(experiment, tags=dict(tags), run_name=name)
            now = int(datetime.now(UTC).timestamp() * 1000)
            mlflow.log_batch(run.info.run_id, [Metric(key, value, now, 0) for key, value in metrics.items()])
            mlflow.log_artifacts(run.info.run_id, str(folder), MODEL_FOLDER)
            mlflow.set_terminated(run.info.run_id)
        return run

    def restore(self, record: VersionRecord, folder: Path) -> None:
        """Uploads the files of a version again.

        Args:
            record: The version.
            folder: MLflow model of the same package.
        """
        with self._client.translated():
            self._client.mlflow.log_artifacts(record.run_id, str(folder), MODEL_FOLDER)

    def signature(self, record: VersionRecord) -> bytes | None:
        """Signature of a version, unverified; None if it is not signed.

        Args:
            record: The version.
        """
        with self._client.translated():
            folder = f"{MODEL_FOLDER}/{PACKAGE_FOLDER}"
            files = self._client.mlflow.list_artifacts(record.run_id, folder)
            if not any(file.path.rsplit("/", 1)[-1] == SIGNATURE for file in files):
                return None
            with tempfile.TemporaryDirectory() as scratch:
                path = self._client.mlflow.download_artifacts(record.run_id, f"{folder}/{SIGNATURE}", scratch)
                return Path(path).read_bytes()

    def replace_signature(self, record: VersionRecord, path: Path) -> None:
        """Uploads the signature of a version if it has another one, or none.

        Args:
            record: The version.
            path: File of the signature.
        """
        if self.signature(record) != path.read_bytes():
            with self._client.translated():
                self._client.mlflow.log_artifact(record.run_id, str(path), f"{MODEL_FOLDER}/{PACKAGE_FOLDER}")

    def are_incomplete(self, record: VersionRecord, sizes: Mapping[str, int]) -> bool:
        """Whether files of a version are missing or truncated.

        Args:
            record: The version.
            sizes: Size in bytes of each file of its package, by name.
        """
        with self._client.translated():
            files = self._client.mlflow.list_artifacts(record.run_id, f"{MODEL_FOLDER}/{PACKAGE_FOLDER}")
        stored = {file.path.rsplit("/", 1)[-1]: file.file_size for file in files}
        return any(name not in stored or stored[name] not in (size, None) for name, size in sizes.items())

    def download(self, record: VersionRecord, folder: Path) -> Path:
        """Downloads the package of a version, unverified.

        Args:
            record: The version.
            folder: Empty folder for the download.

        Returns:
            Folder of the package.
        """
        with self._client.translated():
            path = f"{MODEL_FOLDER}/{PACKAGE_FOLDER}"
            return Path(self._client.mlflow.download_artifacts(record.run_id, path, str(folder)))

    def remove(self, run_id: str, artifacts: str) -> None:
        """Deletes a run and, where they are on this machine, its files.

        Args:
            run_id: Id of the run.
            artifacts: Artifact URI of the run.
        """
        self._client.mlflow.delete_run(run_id)
        folder = None if self._client.address.is_server else local_folder(artifacts)
        if folder is not None and folder.parent.name == run_id:
            shutil.rmtree(folder.parent, ignore_errors=True)

    def _experiment(self, artifacts: str | None) -> str:
        """Id of the experiment, which is created with its artifact root if it is missing."""
        from mlflow.exceptions import MlflowException

        mlflow, address = self._client.mlflow, self._client.address
        experiment = mlflow.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            root = new_root(address, artifacts)
            try:
                experiment_id = str(mlflow.create_experiment(EXPERIMENT, artifact_location=root))
                if root is not None and (folder := local_folder(root)) is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                return experiment_id
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = mlflow.get_experiment_by_name(EXPERIMENT)
                assert experiment is not None
        check_root(address, experiment.artifact_location, artifacts)
        return str(experiment.experiment_id)

    def _remove_unfinished(self, experiment: str, name: str) -> None:
        """Removes uploads of this user and host that were killed; only one process registers a name at a time."""
        own = f"tags.`{NAME}` = '{name}' and tags.`{REGISTERED_BY}` = '{USER_AT_HOST}'"
        # The lock of a sqlite registry is beside its file. Other registries are locked per cache folder, so another
        # process of this user with another cache may be uploading.
        before = time.time() - (0 if self._client.address.database is not None else _STALE_SECONDS)
        for run in self._client.mlflow.search_runs([experiment], f"attributes.status = 'RUNNING' and {own}"):
            if run.info.start_time > 1000 * before:
                continue
            self._client.mlflow.set_terminated(run.info.run_id, "KILLED")
            self.remove(run.info.run_id, run.info.artifact_uri)
