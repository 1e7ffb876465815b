"""Who works on a study: one process on one machine, which others on that machine can see to be dead."""

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
        token: Its name in the storage; no other process ever has the same.
        machine: The boot of the machine and its space of process ids; empty where that cannot be told.
        process: Its id on that machine.
        started: When the machine started it, in clock ticks since its boot: ids are used again.
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
        """One that `words` wrote down."""
        return cls(token, given.get("machine", ""), given.get("process", 0), given.get("started", 0))

    def words(self) -> dict[str, Any]:
        """What a storage keeps of it beside its token, as JSON takes it."""
        return {"machine": self.machine, "process": self.process, "started": self.started}

    def is_dead(self) -> bool:
        """Whether it is known to be gone: it ran on this machine, and runs no more. False where that cannot be told."""
        return bool(self.machine) and self.machine == _machine() and _started(self.process) != self.started


@cache
def _machine() -> str:
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"  # containers of one machine count processes apart
    return ""


def _started(process: int) -> int:
    """0 for a process that is not there, or is dead and only waits for its parent."""
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[_AFTER_NAME])
    return 0
