"""Registry access: state and packages of a registry, or their local copy while it is unreachable."""

import logging
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.folder import SIGNATURE, read_signature
from lightning_app.packaging.format.package_signature import verify_signature
from lightning_app.registry.promotion.journal import Journal
from lightning_app.registry.promotion.rollback import sync_rollbacks
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import AliasReader
from lightning_app.registry.storage.cache import Cache, Snapshot
from lightning_app.registry.storage.errors import PromotionConflictError, RegistryUnreachableError
from lightning_app.registry.storage.reference import ModelReference
from lightning_app.registry.storage.store import MlflowStore

_log = logging.getLogger("lightning_app.registry")
_CHECK_SECONDS = 1.0
"""How long a successful health check of a server is trusted."""


class RegistryAccess:
    """A registry together with its local copy.

    Args:
        address: Address of the registry.
        cache: Local copy.
    """

    def __init__(self, address: RegistryAddress, cache: Cache) -> None:
        self.address = address
        self.cache = cache
        self._opened: MlflowStore | None = None
        self._checked_at = 0.0  # monotonic time of the last successful health check

    @property
    def lock_folder(self) -> Path:
        """Folder of the locks of this registry."""
        database = self.address.database
        return self.cache.locks if database is None else database.parent / f".{database.name}.locks"

    def store(self, *, create: bool = False, timeout: float = 5.0) -> MlflowStore:
        """Opens the registry, or checks that the opened one is still reachable.

        Args:
            create: Create an embedded registry if there is none.
            timeout: Seconds that a server has to answer.

        Raises:
            RegistryUnreachableError: There is no registry, or it does not answer.
        """
        if self._opened is None or (create and self.address.database is not None):
            self._opened = MlflowStore(self.address, create=create, timeout=timeout)
        elif self.address.database is not None or time.monotonic() - self._checked_at > _CHECK_SECONDS:
            self.address.check(timeout)
        else:
            return self._opened
        self._checked_at = time.monotonic()
        return self._opened

    def refresh(self, name: str, *, timeout: float = 5.0) -> Snapshot:
        """Reads the state of a model from the registry and updates the local copy.

        Unfinished changes are completed first, and rollbacks made while the registry was unreachable are synced to it.

        Args:
            name: Name of the model.
            timeout: Seconds that a server has to answer.

        Raises:
            RegistryUnreachableError: The registry does not answer.
        """
        store = self.store(timeout=timeout)
        journal = Journal(store, name)
        state = journal.repair()
        aliases = store.aliases(name)
        digests = {record.number: record.digest for record in store.versions(name)}
        champion = aliases.get("champion")
        champions = [number for number in state.champions(champion) if number in digests or number == champion]
        # Deleted versions are left out, which may leave the same champion twice in a row.
        champions = [number for number, _ in groupby(champions)]
        snapshot = Snapshot(aliases, digests, champions, state.last)
        local = self.cache.snapshot(name)
        if local is not None and local.rolled_back:
            try:
                snapshot = sync_rollbacks(journal, local, snapshot)
            except PromotionConflictError:  # another process of this machine is syncing them
                return self.refresh(name, timeout=timeout)
        if digests:
            self.cache.remember(name, snapshot)
        return snapshot

    def unchanged(self, reference: ModelReference) -> tuple[int, Path, Snapshot] | None:
        """The version of a reference, if the registry still says what the local copy says; imports no MLflow.

        Args:
            reference: The reference.

        Returns:
            Number, verified package and state of the model; None if something has changed, is not on this machine, or
            can only be asked with MLflow.

        Raises:
            RegistryUnreachableError: The registry does not answer.
        """
        snapshot, reader, name = self.cache.snapshot(reference.name), AliasReader(self.address), reference.name
        if snapshot is None or snapshot.rolled_back or not reader.is_cheap:
            return None
        if reference.alias is None:
            number = reference.version if reader.has_version(name, reference.version or 0) else None
        else:
            number = reader.read([(name, reference.alias)])[name, reference.alias]
            if number != snapshot.aliases.get(reference.alias):
                return None
        if number is None:
            return None
        previous = snapshot.aliases.get("previous") if reference.alias == "champion" else None
        paths: dict[int, Path] = {}
        for needed in {number, previous or number}:
            digest = snapshot.digests.get(needed)
            path = None if digest is None else self.cache.package(digest)
            if path is None:
                return None
            paths[needed] = path
        return number, paths[number], snapshot

    def last_known(self, name: str, error: RegistryUnreachableError) -> Snapshot:
        """State of a model when the registry last answered, from the local copy.

        Args:
            name: Name of the model.
            error: Raised if the local copy does not have the model.
        """
        snapshot = self.cache.snapshot(name)
        if snapshot is None:
            raise error
        _log.warning("%s; going by what was known of %s at %s", error, name, snapshot.when)
        return snapshot

    def fetch(self, name: str, number: int, snapshot: Snapshot) -> Path:
        """The verified package of a version, from the cache or from the registry.

        Args:
            name: Name of the model.
            number: Number of the version.
            snapshot: State of the model.

        Returns:
            Folder of the package.

        Raises:
            UsageError: There is no such version.
            PackageError: The files in the registry differ from what was registered.
            RegistryUnreachableError: The package is not cached, and the registry does not answer.
        """
        digest = snapshot.digests.get(number)
        if digest is None:
            raise UsageError(f"model: {name}@{number} given, {describe_versions(name, snapshot)}")
        path = self.cache.package(digest)
        if path is None:
            store = self.store()
            record = next(record for record in store.versions(name) if record.number == number)
            with self.cache.receive(digest) as folder:
                store.files.download(record, folder)
            path = self.cache.package(digest)
            assert path is not None
        return path

    def verify_signature(self, name: str, number: int, path: Path, keys: Sequence[Path]) -> None:
        """Verifies the signature of a cached package; one that is not valid is first fetched again.

        Args:
            name: Name of the model.
            number: Number of the version.
            path: Folder of the package in the cache.
            keys: Trusted public keys.

        Raises:
            PackageError: No trusted key has signed the package.
        """
        try:
            verify_signature(path, keys)
        except PackageError:  # it may have been signed since it was cached
            try:
                store = self.store()
                record = next(record for record in store.versions(name) if record.number == number)
                content = store.files.signature(record)
            except RegistryUnreachableError:
                content = None
            if content is None or content == read_signature(path):
                raise
            write_whole(path / SIGNATURE, content.decode("utf-8", "replace"))
            verify_signature(path, keys)

    def fetch_previous(self, name: str, snapshot: Snapshot) -> None:
        """Caches the previous champion, so that a rollback works without the registry; a failure is only logged.

        Args:
            name: Name of the model.
            snapshot: State of the model, with a previous champion.
        """
        try:
            self.fetch(name, snapshot.aliases["previous"], snapshot)
        except (UsageError, OSError) as error:
            _log.warning("the previous champion of %s could not be fetched: %s", name, error)


def describe_versions(name: str, snapshot: Snapshot) -> str:
    """Lists the versions of a model in words, for error messages.

    Args:
        name: Name of the model.
        snapshot: State of the model.
    """
    numbers = sorted(snapshot.digests)
    if not numbers:
        return f"there is no model {name!r}"
    return f"{name} has the versions {', '.join(map(str, numbers))}"
