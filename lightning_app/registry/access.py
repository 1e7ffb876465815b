"""What a registry says, and the packages that it has, with a copy of both on this machine."""

import logging
import time
from itertools import groupby
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.registry.promotion.journal import Journal
from lightning_app.registry.promotion.rollback import tell_rollbacks
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.cache import Cache, Snapshot
from lightning_app.registry.storage.errors import PromotionConflictError, RegistryUnreachableError
from lightning_app.registry.storage.store import MlflowStore

_log = logging.getLogger("lightning_app.registry")
_ANSWERS_FOR = 1.0
"""Seconds for which a server that answered need not be asked whether it does."""


class RegistryAccess:
    """A registry and its local copy.

    Args:
        address: Where the registry is.
        cache: The local copy.
    """

    def __init__(self, address: RegistryAddress, cache: Cache) -> None:
        self.address = address
        self.cache = cache
        self._opened: MlflowStore | None = None
        self._answered = 0.0  # when it was last seen to answer, on the monotonic clock

    @property
    def lock_folder(self) -> Path:
        """Where the locks of this registry lie."""
        database = self.address.database
        return self.cache.locks if database is None else database.parent / f".{database.name}.locks"

    def store(self, *, create: bool = False, timeout: float = 5.0) -> MlflowStore:
        """The registry, which is there.

        Args:
            create: Make an embedded one where there is none.
            timeout: Seconds that a server has to answer.

        Raises:
            RegistryUnreachableError: It is not there.
        """
        if self._opened is None or (create and self.address.database is not None):
            self._opened = MlflowStore(self.address, create=create, timeout=timeout)
        elif self.address.database is not None or time.monotonic() - self._answered > _ANSWERS_FOR:
            self.address.check(timeout)
        else:
            return self._opened
        self._answered = time.monotonic()
        return self._opened

    def ask(self, name: str, *, timeout: float = 5.0) -> Snapshot:
        """What the registry says of a model: unfinished changes are ended first, and rollbacks told.

        Args:
            name: Name of the model.
            timeout: Seconds that a server has to answer.

        Raises:
            RegistryUnreachableError: It does not answer.
        """
        store = self.store(timeout=timeout)
        journal = Journal(store, name)
        state = journal.repair()
        aliases = store.aliases(name)
        digests = {record.number: record.digest for record in store.versions(name)}
        champion = aliases.get("champion")
        champions = [number for number in state.champions(champion) if number in digests or number == champion]
        # A version that was deleted may have stood between one and the same.
        champions = [number for number, _ in groupby(champions)]
        snapshot = Snapshot(aliases, digests, champions, state.last)
        here = self.cache.snapshot(name)
        if here is not None and here.rolled_back:
            try:
                snapshot = tell_rollbacks(journal, here, snapshot)
            except PromotionConflictError:  # another process of this machine tells them at this moment
                return self.ask(name, timeout=timeout)
        if digests:
            self.cache.remember(name, snapshot)
        return snapshot

    def last_known(self, name: str, error: RegistryUnreachableError) -> Snapshot:
        """What the registry said of a model when it last answered.

        Args:
            name: Name of the model.
            error: Raised where nothing is known.
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
            number: Of the version.
            snapshot: What the registry says.

        Returns:
            The folder.

        Raises:
            UsageError: There is no such version.
            PackageError: What the registry has is not what was registered.
            RegistryUnreachableError: It is not in the cache, and the registry does not answer.
        """
        digest = snapshot.digests.get(number)
        if digest is None:
            raise UsageError(f"model: {name}@{number} given, {what_is(name, snapshot)}")
        path = self.cache.package(digest)
        if path is None:
            store = self.store()
            record = next(record for record in store.versions(name) if record.number == number)
            with self.cache.receive(digest) as folder:
                store.download(record, folder)
            path = self.cache.package(digest)
            assert path is not None
        return path

    def fetch_previous(self, name: str, snapshot: Snapshot) -> None:
        """Fetches the champion before, so that a rollback finds it here, also without the registry.

        Args:
            name: Name of the model.
            snapshot: What the registry says, with a previous champion.
        """
        try:
            self.fetch(name, snapshot.aliases["previous"], snapshot)
        except (UsageError, OSError) as error:
            _log.warning("the previous champion of %s could not be fetched: %s", name, error)


def what_is(name: str, snapshot: Snapshot) -> str:
    """The versions that there are, in words.

    Args:
        name: Name of the model.
        snapshot: What the registry says.
    """
    numbers = sorted(snapshot.digests)
    if not numbers:
        return f"there is no model {name!r}"
    return f"{name} has the versions {', '.join(map(str, numbers))}"
