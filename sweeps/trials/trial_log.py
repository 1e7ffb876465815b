"""Log of a trial: bounded in size, with the beginning and the end of the output kept."""

import os
import re
from pathlib import Path

_NOTICE = b"\n[... %15d bytes of output are left out here ...]\n"
_WRITTEN = re.compile(rb"\n\[\.\.\. +(\d+) bytes of output are left out here \.\.\.\]\n")
_NOTICE_SIZE = len(_NOTICE % 0)


class TrialLog:
    """Writes what a trial prints into a file of bounded size; one that is there already goes on.

    Args:
        path: The file.
        head: Bytes that are kept of the beginning.
        tail: Bytes that are kept of the end, at least; up to twice as many until the next cut.
    """

    def __init__(self, path: Path, *, head: int = 1 << 20, tail: int = 1 << 20) -> None:
        self.path = path
        self.head = head
        self.tail = tail
        self._lost = 0
        self._file = -1
        self._cut = 0

    def write(self, data: bytes) -> None:
        """Adds output; what does not fit on the disk is left out, and counted when there is room again."""
        try:
            self._open()
            if self._lost:
                note = f"\n[... {self._lost} bytes of output could not be written ...]\n".encode()
                os.write(self._file, note)
                self._lost = 0
            written = os.write(self._file, data)
            self._lost += len(data) - written
            if os.fstat(self._file).st_size > self.head + _NOTICE_SIZE + 2 * self.tail:
                self._shorten()
        except OSError:  # a full disk must not end the process that all trials are forked from
            self._lost += len(data)

    def close(self) -> None:
        """Ends writing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        if self._file >= 0:
            return
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        found = _WRITTEN.fullmatch(os.pread(self._file, _NOTICE_SIZE, self.head))
        self._cut = int(found.group(1)) if found else 0

    def _shorten(self) -> None:
        size = os.fstat(self._file).st_size
        begin = self.head + (_NOTICE_SIZE if self._cut else 0)
        rest = os.pread(self._file, self.tail, size - self.tail)
        line = rest.find(b"\n") + 1  # whole lines, unless there are none
        rest = rest[line:] if line else rest
        self._cut += size - begin - len(rest)
        os.ftruncate(self._file, self.head)
        data = _NOTICE % self._cut + rest
        while data:
            data = data[os.write(self._file, data) :]
