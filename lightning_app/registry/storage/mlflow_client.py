"""MLflow client of a registry: quiet settings, translated errors, and searches over all pages."""

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from lightning_app.errors import UsageError
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.database import create_database
from lightning_app.registry.storage.mlflow_errors import translated

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

# No telemetry, no minutes of retries, no progress bars and URLs between the lines of our commands.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class RegistryClient:
    """An `MlflowClient` of one registry; MLflow's global tracking URI is not touched.

    Args:
        address: Address of the registry.
        create: Whether to create the database of an embedded registry if it is missing.
        timeout: Seconds that a server has to answer.

    Attributes:
        address: Address of the registry.
        mlflow: The client of MLflow.

    Raises:
        UsageError: MLflow is not installed.
        RegistryUnreachableError: There is no registry at the address, or it does not answer.
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
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs the SQL of errors it also raises
        self.address = address
        with self.translated():
            if create and address.database is not None:
                create_database(address.database)
            self.mlflow = MlflowClient(tracking_uri=address.uri, registry_uri=address.uri)

    def translated(self) -> AbstractContextManager[None]:
        """Context in which MLflow's errors are raised as errors of the registry, see `mlflow_errors`."""
        return translated(self.address)

    def model_names(self) -> list[str]:
        """Names of all registered models, including journals."""
        with self.translated():
            models = _all_pages(lambda token: self.mlflow.search_registered_models(page_token=token))
        return [model.name for model in models]

    def model_versions(self, name: str) -> list["ModelVersion"]:
        """All versions of a registered model in any order; empty if there is no such model."""
        with self.translated():
            return _all_pages(
                lambda token: self.mlflow.search_model_versions(f"name = '{name}'", page_token=token, max_results=1000)
            )

    def ensure_model(self, name: str) -> None:
        """Creates a registered model unless it exists."""
        from mlflow.exceptions import MlflowException

        try:
            self.mlflow.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _all_pages(search: Callable[[str | None], Any]) -> list[Any]:
    results: list[Any] = []
    token = None
    while True:
        page = search(token)
        results.extend(page)
        token = page.token
        if not token:
            return results
