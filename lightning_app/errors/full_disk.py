"""Full disk errors: name the file that could not be written, the bytes it needs and the bytes that are free."""

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
    """Names the file in errors about missing disk space that are raised inside the block.

    Writing to an open file fails without its name, and libraries hide the errno: polars in the message text, torch
    behind an error about file positions.

    Args:
        path: File under the name that the user knows.
        size: Size of the file in bytes, if known.

    Raises:
        OSError: The disk is full, a quota is used up, or the file exceeds the size limit.
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
    """Describes an error about missing disk space in one line, with the file and the free space on its disk.

    Args:
        error: Any exception.

    Returns:
        The description, or None if the error has another reason.
    """
    number, path, text = _errno_of(error), None, ""
    if number is None:
        return None
    for cause in causes(error, implicit=True):  # the first one that names a file
        if isinstance(cause, OSError) and cause.errno in _ERRNOS and (path := cause.filename2 or cause.filename):
            text = str(cause.strerror)
            break
    target = Path(os.fsdecode(path)) if path else Path.cwd()
    message = f"{text or os.strerror(number)}: {path or 'a file that the error does not name'}"
    if number == errno.EFBIG:
        return f"{message}; it is larger than the limit on files allows (ulimit -f)"
    folder = next((folder for folder in (target, *target.parents) if folder.is_dir()), Path.cwd())
    with suppress(OSError):
        usage = shutil.disk_usage(folder)
        message += f"; {usage.free:,} of {usage.total:,} bytes are free in {folder}"
    return message


def _errno_of(error: BaseException) -> int | None:
    """Errno of a full disk, a used-up quota or a file size limit, anywhere in the chain of causes."""
    for cause in causes(error, implicit=True):
        if isinstance(cause, OSError) and cause.errno in _ERRNOS:
            return cause.errno
        for number in map(int, _OF_RUST.findall(str(cause))):
            if number in _ERRNOS:
                return number
    return None
