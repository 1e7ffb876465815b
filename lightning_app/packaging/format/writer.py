"""Package writer: writes the folder of a package atomically."""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from lightning_app.atomic_write import replace_folder, sync_folder
from lightning_app.errors import UsageError
from lightning_app.errors.full_disk import names_full_disk
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.fields import file_name_field, need
from lightning_app.packaging.format.folder import SIGNATURE, check_is_package, expected_files
from lightning_app.packaging.format.manifest import MANIFEST, FileEntry, Manifest


def write_package(
    path: str | Path, *, manifest: Manifest, files: Mapping[str, bytes | Path], overwrite: bool = False
) -> Path:
    """Writes the folder of a package; readers see either all of it or none.

    The files are written and synced in a hidden folder beside the target, which is renamed at the end. A killed writer
    leaves at most the hidden folder, which the next writer to the same path removes.

    Args:
        path: Folder of the package.
        manifest: Manifest without `files`, which are filled in.
        files: All files but the manifest: name to content, or to the path of a file to copy.
        overwrite: Whether to replace an existing package.

    Returns:
        The folder.

    Raises:
        UsageError: The folder exists and may not be replaced.
        PackageError: A file is missing, a file name is not allowed, or the manifest is invalid.
    """
    target = Path(path)
    for name in files:
        need(
            file_name_field(name, "files") not in (MANIFEST, SIGNATURE),
            "files",
            "every file but the manifest and the signature",
            name,
        )
    if set(files) != (expected := expected_files(manifest, files)):
        raise PackageError(f"files: {', '.join(sorted(files))} given, {', '.join(sorted(expected))} needed")
    check_output(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    size = sum(source.stat().st_size if isinstance(source, Path) else len(source) for source in files.values())
    with _partial_folder(target) as partial, names_full_disk(target, size):
        entries = {name: _write(partial / name, source) for name, source in sorted(files.items())}
        content = replace(manifest, files=entries).to_json()
        Manifest.from_json(content)
        _write(partial / MANIFEST, content)
        sync_folder(partial)
        check_output(target, overwrite)  # again: it may have appeared in the meantime
        replace_folder(partial, target)
    return target


def check_output(target: Path, overwrite: bool) -> None:
    """Raises unless a package can be written to a path: it does not exist, or is a package that may be replaced.

    Args:
        target: Folder of the package.
        overwrite: Whether to replace an existing package.

    Raises:
        UsageError: Something else exists there.
    """
    if not target.exists() and not target.is_symlink():
        return
    if target.is_symlink() or not target.is_dir():
        raise UsageError(f"output: {target} exists and is no folder; give another path")
    if not any(target.iterdir()):
        return
    try:
        check_is_package(target)
    except PackageError as error:
        raise UsageError(f"output: {target} exists and is no package ({error}); give another path") from error
    if not overwrite:
        raise UsageError(f"output: {target} exists; give another path, or --overwrite to replace the package")


@contextmanager
def _partial_folder(target: Path) -> Iterator[Path]:
    """Creates a hidden folder beside the target, locked by its writer; removes those of killed writers."""
    prefix = f".{target.name}.partial-"
    for leftover in list(target.parent.iterdir()):
        if leftover.name.startswith(prefix):
            _remove_if_dead(leftover)
    while True:
        partial = target.parent / f"{prefix}{secrets.token_hex(4)}"
        partial.mkdir()
        descriptor = os.open(partial, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if partial.exists():  # else another writer removed it before it was locked
            break
        os.close(descriptor)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(descriptor)


def _remove_if_dead(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def _write(path: Path, source: bytes | Path) -> FileEntry:
    with path.open("xb") as file:
        if isinstance(source, Path):
            with source.open("rb") as original:
                shutil.copyfileobj(original, file)
        else:
            file.write(source)
        _sync(file)
    with path.open("rb") as file:
        return FileEntry(sha256=hashlib.file_digest(file, "sha256").hexdigest(), bytes=path.stat().st_size)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
