"""Journal entries in MLflow: versions of a registered model `NAME.promotions`, see `promotion.journal`."""

from collections.abc import Mapping

from lightning_app.registry.storage.mlflow_client import RegistryClient
from lightning_app.registry.storage.reference import JOURNAL_SUFFIX

_KIND, _JOURNAL = "lightning_app.kind", "journal"
"""Tag of a registered model that is a journal and no model."""


class JournalEntries:
    """Reads and writes the entries of journals.

    Args:
        client: Client of the registry.
    """

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def read(self, name: str) -> list[tuple[int, str, Mapping[str, str]]]:
        """Number, text and tags of each entry of a model's journal, in order.

        Args:
            name: Name of the model.
        """
        entries = self._client.model_versions(name + JOURNAL_SUFFIX)
        return sorted((int(entry.version), entry.description or "", entry.tags) for entry in entries)

    def append(self, name: str, *, text: str, tags: Mapping[str, str], version: int, is_first: bool) -> int:
        """Appends an entry to the journal of a model.

        Args:
            name: Name of the model.
            text: The entry as JSON.
            tags: Summary of the entry for people who browse MLflow's pages.
            version: Version of the model that the entry is about.
            is_first: Whether the journal may not exist yet.

        Returns:
            Number of the entry, assigned by the registry: unique, and larger than all before.
        """
        journal = name + JOURNAL_SUFFIX
        with self._client.translated():
            if is_first:
                self._client.ensure_model(journal)
            entry = self._client.mlflow.create_model_version(
                journal, f"models:/{name}/{version}", tags=dict(tags), description=text, await_creation_for=0
            )
        return int(entry.version)

    def mark(self, name: str, number: int, *, key: str, value: str) -> None:
        """Sets a tag of an entry.

        Args:
            name: Name of the model.
            number: Number of the entry.
            key: Key of the tag.
            value: Value of the tag.
        """
        with self._client.translated():
            self._client.mlflow.set_model_version_tag(name + JOURNAL_SUFFIX, str(number), key, value)

    def describe(self, name: str) -> None:
        """Adds a description to the journal of a model, for people who browse MLflow's pages.

        Args:
            name: Name of the model.
        """
        journal, mlflow = name + JOURNAL_SUFFIX, self._client.mlflow
        with self._client.translated():
            if mlflow.get_registered_model(journal).tags.get(_KIND) != _JOURNAL:
                mlflow.set_registered_model_tag(journal, _KIND, _JOURNAL)
                mlflow.update_registered_model(journal, _description(name))


def _description(name: str) -> str:
    return (
        f"The journal of {name}, kept by lightning-app; no model. Each of its versions is an entry: who promoted, "
        f"withdrew or rolled back which version of {name}, when, and what the gates said. See `lightning-app models "
        f"show {name}`."
    )
