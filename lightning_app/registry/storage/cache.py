"""Local cache of a registry: packages by digest, and the last known state of each model."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lightning_app.atomic_write import write_whole
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.folder import read_folder
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.cache_place import cache_root, registry_folder, snapshot_file

_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Snapshot:
    """State of a model in the registry at one point in time.

    Attributes:
        aliases: Alias to version number.
        digests: Version number to digest of its package.
        champions: Stack of champions that rollbacks pop from, the current one last.
        last: Number of the journal's last entry.
        when: When the registry was read; ISO 8601, UTC.
        rolled_back: Versions rolled back on this machine while the registry did not answer, newest last; not synced
            yet.
        reason: Reason of these rollbacks.
    """

    aliases: Mapping[str, int]
    digests: Mapping[int, str]
    champions: Sequence[int]
    last: int
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    rolled_back: Sequence[int] = ()
    reason: str | None = None


class Cache:
    """Folder of packages by digest, and of snapshots by registry and model.

    Args:
        address: The registry.
        root: Cache folder; None takes `$LIGHTNING_APP_CACHE`, else `~/.cache/lightning-app`.

    Attributes:
        root: Cache folder.
        locks: Folder of the locks of a registry that is not a sqlite file.
    """

    def __init__(self, address: RegistryAddress, root: Path | None = None) -> None:
        self.root = cache_root(root)
        self._packages = self.root / "packages"
        self._registry = registry_folder(self.root, address)
        self.locks = self._registry / "locks"

    def package(self, digest: str) -> Path | None:
        """Folder of the verified package with a digest; None if it is not cached, or was damaged.

        Args:
            digest: sha256 of the manifest.
        """
        path = self._packages / digest
        if not path.exists():
            return None
        try:
            _, actual, _ = read_folder(path, keep=())
        except PackageError:
            actual = None
        if actual == digest:
            return path
        self._discard(path)
        return None

    @contextmanager
    def receive(self, digest: str) -> Iterator[Path]:
        """Provides an empty folder for a download; the package in it is kept if its digest matches.

        Args:
            digest: Expected sha256 of the manifest.

        Raises:
            PackageError: The download is damaged, or is another package.
        """
        self._packages.mkdir(parents=True, exist_ok=True)
        for leftover in self._packages.glob(".*"):  # of processes that were killed
            with suppress(FileNotFoundError):  # another process has just finished with it
                if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(leftover, ignore_errors=True)
        partial = self._packages / f".{secrets.token_hex(8)}"
        partial.mkdir()
        try:
            yield partial
            fetched = next((path.parent for path in partial.rglob("manifest.json")), partial)
            try:
                _, actual, _ = read_folder(fetched, keep=())
            except PackageError as error:
                reason = str(error).removeprefix("package: ").removeprefix(f"{fetched} ")
                raise PackageError(
                    f"package: its files in the registry are damaged: {reason}; if files are missing, register the "
                    "package again"
                ) from error
            if actual != digest:
                raise PackageError(f"package: digest {actual} was downloaded, the registry lists {digest}")
            target = self._packages / digest
            try:
                fetched.rename(target)
            except OSError:
                if not target.exists():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def snapshot(self, name: str) -> Snapshot | None:
        """Last known state of a model, None if there is none.

        Args:
            name: Name of the model.
        """
        try:
            content = json.loads(snapshot_file(self._registry, name).read_text())
            digests = {int(number): digest for number, digest in content.pop("digests").items()}
            return Snapshot(digests=digests, **content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or written by another version
            return None

    def remember(self, name: str, snapshot: Snapshot) -> None:
        """Stores the state of a model.

        Args:
            name: Name of the model.
            snapshot: State of the model.
        """
        self._registry.mkdir(parents=True, exist_ok=True)
        write_whole(snapshot_file(self._registry, name), json.dumps(asdict(snapshot), indent=2, sort_keys=True) + "\n")

    def _discard(self, path: Path) -> None:
        aside = path.with_name(f".{secrets.token_hex(8)}")
        try:
            path.rename(aside)
        except OSError:
            return
        shutil.rmtree(aside, ignore_errors=True)
