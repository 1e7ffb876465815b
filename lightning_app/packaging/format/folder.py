"""Package folder: reads a package and verifies that it holds exactly the files of its manifest, unchanged."""

import hashlib
import os
import stat
from collections.abc import Collection
from io import BufferedReader
from pathlib import Path

from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.manifest import FILES, MANIFEST, TOKENIZER, FileEntry, Manifest
from lightning_app.packaging.format.node_ids import NODE_IDS
from lightning_app.packaging.format.strict_json import MAX_BYTES

SIGNATURE = "signature.json"
"""Signature of a package, see `package_signature`; the only file in its folder that the manifest does not list."""
MAX_FILE_BYTES = 2**31
"""Limit of the ONNX format; other files of a package are smaller."""


def read_folder(path: Path, *, keep: Collection[str]) -> tuple[Manifest, str, dict[str, bytes]]:
    """Reads a package and verifies every file.

    Args:
        path: Folder of the package.
        keep: Names of the files whose content is returned; unless empty, those of `raw_input` too.

    Returns:
        manifest: Checked manifest.
        digest: sha256 of `manifest.json`, which contains the sha256 of all other files.
        contents: Content of the files in `keep`: the same bytes that were verified.

    Raises:
        PackageError: A file is missing, unexpected, a link, or differs in size or content from the manifest.
    """
    while True:
        before = _identity(path)
        try:
            return _read_folder(path, keep)
        except PackageError:
            if _identity(path) == before:
                raise
        # The folder was replaced while it was read, so the files were of two packages.


def _read_folder(path: Path, keep: Collection[str]) -> tuple[Manifest, str, dict[str, bytes]]:
    names = _names_in(path)
    if MANIFEST not in names:
        raise PackageError(f"package: {path} has no {MANIFEST}")
    raw = _read(path / MANIFEST, limit=MAX_BYTES)
    manifest = Manifest.from_json(raw)
    files = dict(manifest.files or {})
    expected = expected_files(manifest)
    if set(files) != expected:
        raise PackageError(f"files: {', '.join(sorted(files)) or 'none'} given, {', '.join(sorted(expected))} needed")
    if missing := sorted(expected - names):
        raise PackageError(f"package: {path} lacks {', '.join(missing)}")
    if extra := sorted(names - expected - {MANIFEST, SIGNATURE}):
        raise PackageError(f"package: {path} has {', '.join(extra)}, which the manifest does not list")
    if keep and manifest.raw_input is not None:
        keep = {*keep, *manifest.raw_input.all_files}
    contents = {name: _verify(path / name, entry, keep=name in keep) for name, entry in files.items()}
    return (
        manifest,
        hashlib.sha256(raw).hexdigest(),
        {name: content for name, content in contents.items() if name in keep},
    )


def read_listed(path: Path, manifest: Manifest, name: str) -> bytes | None:
    """Content of one file of a package, verified; None if the package has no such file.

    Args:
        path: Folder of the package.
        manifest: Its manifest.
        name: Name of the file.

    Raises:
        PackageError: The file is missing, or was changed since the manifest was read.
    """
    entry = (manifest.files or {}).get(name)
    return None if entry is None else _verify(path / name, entry, keep=True)


def read_signature(path: Path) -> bytes | None:
    """Signature of a package, unverified; None if it is not signed.

    Args:
        path: Folder of the package.

    Raises:
        PackageError: The signature is too large, or no file.
    """
    return _read(path / SIGNATURE, limit=MAX_BYTES) if SIGNATURE in _names_in(path) else None


def check_is_package(path: Path) -> None:
    """Raises unless a folder was written as a package: it has a valid manifest, and no files that packages do not have.

    Args:
        path: Folder; its files may be damaged or missing.

    Raises:
        PackageError: The folder is no package, or holds other files too.
    """
    names = _names_in(path)
    if MANIFEST not in names:
        raise PackageError(f"it has no {MANIFEST}")
    manifest = Manifest.from_json(_read(path / MANIFEST, limit=MAX_BYTES))
    if extra := sorted(names - expected_files(manifest) - {MANIFEST, SIGNATURE}):
        raise PackageError(f"it holds {extra[0]!r}, which no package has")


def expected_files(manifest: Manifest, names: Collection[str] = ()) -> set[str]:
    """Names of all files besides `manifest.json`.

    Args:
        manifest: Manifest of the package.
        names: Files to be written; further files of the exporter belong to the package too.
    """
    extra = {*names, *(manifest.files or {})} - {TOKENIZER, NODE_IDS}
    tokenizer = [manifest.tokenizer] if manifest.tokenizer else []
    raw = manifest.raw_input.all_files if manifest.raw_input else ()
    return {*FILES, *tokenizer, *([NODE_IDS] if manifest.node_ids else []), *raw, *extra}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _names_in(path: Path) -> set[str]:
    try:
        with os.scandir(path) as entries:
            files = list(entries)
    except FileNotFoundError as error:
        raise PackageError(f"package: {path} does not exist") from error
    except OSError as error:
        raise PackageError(f"package: {path} is no folder that can be read: {error.strerror}") from error
    for entry in files:
        if entry.is_symlink():
            raise PackageError(f"package: {entry.name} is a link, a package holds none")
        if not entry.is_file(follow_symlinks=False):
            raise PackageError(f"package: {entry.name} is no file, a package holds files alone")
    return {entry.name for entry in files}


def _verify(path: Path, entry: FileEntry, *, keep: bool) -> bytes:
    """Verifies a file while reading it once; returns its content if `keep`, else nothing."""
    most = MAX_FILE_BYTES if path.suffix in (".onnx", ".parquet") else MAX_BYTES
    if entry.bytes > most:
        raise PackageError(f"files.{path.name}.bytes: {entry.bytes:,} given, at most {most:,} are allowed")
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.bytes:
            raise PackageError(
                f"package: {path.name} has {size:,} bytes, the manifest says {entry.bytes:,}; it was cut off or changed"
            )
        if keep:
            content = file.read(entry.bytes + 1)
            digest = hashlib.sha256(content).hexdigest()
        else:
            content, digest = b"", hashlib.file_digest(file, "sha256").hexdigest()
    if digest != entry.sha256:
        raise PackageError(
            f"package: {path.name} has the sha256 {digest}, the manifest says {entry.sha256}; it was changed"
        )
    return content


def _read(path: Path, *, limit: int) -> bytes:
    with _open(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise PackageError(f"package: {path.name} has more than {limit:,} bytes")
    return content


def _open(path: Path) -> BufferedReader:
    try:
        # O_NONBLOCK: opening a pipe in place of a file must not block.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise PackageError(f"package: {path.name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PackageError(f"package: {path.name} is no file")
    return os.fdopen(descriptor, "rb")
