"""Owner of a trial: a process on one machine, which other processes on that machine can check for liveness."""

import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_AFTER_NAME = 19  # of /proc/PID/stat: when the process started, counted from the field after its name


@dataclass(frozen=True)
class Owner:
    """A process that runs trials.

    Attributes:
        token: Unique name of the process in the storage.
        machine: Boot id of the machine and its PID namespace; empty if unknown.
        process: Process id on that machine.
        started: Start time in clock ticks since boot, because process ids are reused.
    """

    token: str
    machine: str
    process: int
    started: int

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        process = os.getpid()
        token = f"{socket.gethostname()}:{process}:{secrets.token_hex(4)}"
        return cls(token, _machine(), process, _started(process))

    @classmethod
    def read(cls, token: str, given: dict[str, Any]) -> "Owner":
        """Restores an owner from `words`."""
        return cls(token, given.get("machine", ""), given.get("process", 0), given.get("started", 0))

    def words(self) -> dict[str, Any]:
        """Fields stored beside the token, JSON-serialisable."""
        return {"machine": self.machine, "process": self.process, "started": self.started}

    def is_dead(self) -> bool:
        """Whether it is known to have ended: it ran on this machine and is not running any more. False if unknown."""
        return bool(self.machine) and self.machine == _machine() and _started(self.process) != self.started


@cache
def _machine() -> str:
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"  # containers of one machine count processes apart
    return ""


def _started(process: int) -> int:
    """Start time of a process; 0 for a process that does not exist or is a zombie."""
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[_AFTER_NAME])
    return 0
