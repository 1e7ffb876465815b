"""Processes of a server: started, asked until they answer, measured as a whole tree, stopped."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        process: The process that was started.
        port: Where it listens.
        started: `time.perf_counter()` right before it was started.
        ready_s: Seconds until it answered.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    started: float
    ready_s: float

    def cpu_seconds(self) -> float:
        """User and system time of all its processes, of those that have ended too."""
        spent = [_times(pid) for pid in tree(self.process.pid)]
        return sum(own for own, _ in spent) + _times(self.process.pid)[1]

    def cpu_seconds_of(self, module: str) -> float:
        """User and system time of those of its live processes that run a module.

        Args:
            module: Part of the module's name, e.g. `serving.worker`.
        """
        return sum(_times(pid)[0] for pid in tree(self.process.pid) if module in _command(pid))

    def memory_mib(self) -> list[tuple[float, float]]:
        """Resident and proportional memory of each process in MiB, the largest first."""
        return sorted((_memory(pid) for pid in tree(self.process.pid)), reverse=True)


@contextmanager
def running(
    command: Sequence[str], port: int, *, probe: str = "/health/ready", log: Path | None = None
) -> Iterator[Server]:
    """Starts a server, waits until it answers, and stops it with SIGTERM.

    Args:
        command: Its command line.
        port: Where it will listen.
        probe: A path that it answers to GET with 200, 404 or 405 once it is ready; for our own server 200 alone.
        log: File for what it prints; None throws it away.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if not command[0].startswith(str(ROOT / ".venv")) and ".peer" in command[0]:
        environment["PYTHONPATH"] = ""
    with (log or Path(os.devnull)).open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(process, port, probe, log)
        yield Server(process, port, started, time.perf_counter() - started)
    finally:
        _stop(process)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _times(pid: int) -> tuple[float, float]:
    """Seconds of a process, and of its children that have ended."""
    fields = _stat(pid)
    if not fields:
        return 0.0, 0.0
    user, system, of_children, system_of_children = map(int, fields[11:15])
    return (user + system) / _TICKS, (of_children + system_of_children) / _TICKS


def _memory(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith("kB")}
    return sizes.get("Rss", 0.0), sizes.get("Pss", 0.0)


def _wait(process: "subprocess.Popen[bytes]", port: int, probe: str, log: Path | None) -> None:
    while process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", probe)
            if connection.getresponse().status in ((200,) if probe.startswith("/health/") else (200, 404, 405)):
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    said = log.read_text()[-2000:] if log else ""
    raise RuntimeError(f"{process.args} ended with {process.returncode} before it was ready: {said}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    group = process.pid  # the leader of its own session
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    process.wait()
