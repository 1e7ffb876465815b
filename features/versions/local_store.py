"""LocalStore: snapshots in a folder."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from typing_extensions import override

from features.versions.manifest import FileEntry
from features.versions.store import Store, blob_key, changed_content

CHUNK_BYTES = 1 << 20
_STALE_SECONDS = 86_400


class LocalStore(Store):
    """A store in a folder; files appear complete or not at all, and are read-only.

    Args:
        folder: The folder; created by the first write.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(address=str(folder))
        self.folder = folder

    @override
    def read(self, key: str) -> bytes | None:
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            return None

    @override
    def create(self, key: str, data: bytes) -> bool:
        path = self.folder / key
        if path.exists():
            return False
        with self._partial() as partial, _named(path, len(data)):
            with partial.open("xb") as file:
                file.write(data)
            return self._publish(partial, path)

    @override
    def keys(self, prefix: str) -> list[str]:
        folder = self.folder / prefix
        return sorted(path.relative_to(self.folder).as_posix() for path in folder.rglob("*.json") if path.is_file())

    @override
    def put_file(self, file: Path, entry: FileEntry) -> bool:
        path = self.folder / blob_key(entry)
        if path.exists() and path.stat().st_size == entry.bytes:
            return False
        with self._partial() as partial, _named(path, entry.bytes):
            if _copy(file, partial) != entry.sha256:
                raise ValueError(f"{file} changed while it was copied; take the snapshot when nothing writes to it")
            if path.exists():  # of another size: it was changed
                path.unlink()
            return self._publish(partial, path)

    @override
    def local_file(self, entry: FileEntry) -> Path:
        path = self.folder / blob_key(entry)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: content of {entry.path!r} of a snapshot in {self.address}")
        status = path.stat()
        actual = _sha256_once(path, status.st_ino, status.st_size, status.st_mtime_ns)
        if actual != entry.sha256:
            raise changed_content(str(path), entry, actual)
        return path

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        """A path for a file that is being written; what a killed process left here is removed after a day."""
        folder = self.folder / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            with suppress(FileNotFoundError):  # another writer has just finished with it
                if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                    old.unlink()
        path = folder / secrets.token_hex(8)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _publish(self, partial: Path, path: Path) -> bool:
        """Gives a complete file its name; False if another writer was first."""
        sync(partial)
        partial.chmod(0o444)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(partial, path)  # unlike a rename, it never replaces
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if path.exists():
                return False
            partial.rename(path)
        sync(path.parent)
        return True


def sha256_of_file(path: Path) -> str:
    """Checksum of a file, in hexadecimal, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _named(path: Path, size: int) -> Iterator[None]:
    """Names the file in errors of a full disk: those of writing to an open file do not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, f"{error.strerror}; {size:,} bytes are needed", str(path)) from error


@lru_cache(maxsize=4096)
def _sha256_once(path: Path, *_: int) -> str:
    """Checksum of a file, computed once per process as long as inode, size and time of change stay."""
    return sha256_of_file(path)


def sync(path: Path) -> None:
    """Syncs a file's content or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path) -> str:
    """Copies a file and returns the checksum of the bytes that were written."""
    digest = hashlib.sha256()
    with source.open("rb") as file, target.open("xb") as copy:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()
