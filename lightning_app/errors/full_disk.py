"""Full disks: errors that name the file which could not be written, what it needs and what is free."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_app.errors.error_chain import causes

_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_RUST = re.compile(r"\(os error (\d+)\)")


@contextmanager
def names_full_disk(path: Path, size: int | None = None) -> Iterator[None]:
    """What is written inside: where there is no room for it, the error names the file.

    Writes to an open file fail without its name, and libraries hide the reason: polars in a text, torch behind an error
    about positions.

    Args:
        path: The file, by the name that a user knows.
        size: Bytes that it needs, where that is known.

    Raises:
        OSError: There is no room.
    """
    try:
        yield
    except Exception as error:
        number = _errno_of(error)
        if number is None:
            raise
        needed = "" if size is None else f"; {size:,} bytes are needed"
        raise OSError(number, f"{os.strerror(number)}{needed}", str(path)) from error


def describe_full_disk(error: BaseException) -> str | None:
    """One line with the file and what is free on its disk; None for another error.

    Args:
        error: Anything that was raised.
    """
    number, path, text = _errno_of(error), None, ""
    if number is None:
        return None
    for found in causes(error, implicit=True):  # the first that names a file
        if isinstance(found, OSError) and found.errno in _ERRNOS and (path := found.filename2 or found.filename):
            text = str(found.strerror)
            break
    place = Path(os.fsdecode(path)) if path else Path.cwd()
    said = f"{text or os.strerror(number)}: {path or 'a file that the error does not name'}"
    if number == errno.EFBIG:
        return f"{said}; it is larger than the limit on files allows (ulimit -f)"
    folder = next((folder for folder in (place, *place.parents) if folder.is_dir()), Path.cwd())
    with suppress(OSError):
        usage = shutil.disk_usage(folder)
        said += f"; {usage.free:,} of {usage.total:,} bytes are free in {folder}"
    return said


def _errno_of(error: BaseException) -> int | None:
    """That of a full disk, a used up quota or a limit on files, wherever in the chain of causes it stands."""
    for found in causes(error, implicit=True):
        if isinstance(found, OSError) and found.errno in _ERRNOS:
            return found.errno
        for number in map(int, _OF_RUST.findall(str(found))):
            if number in _ERRNOS:
                return number
    return None
