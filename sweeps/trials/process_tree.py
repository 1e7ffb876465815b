"""Process tree: child processes that end with their parent, as far as the kernel can enforce it (Linux only)."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Requests a signal for the moment in which the thread that started this process ends.

    Args:
        number: The signal; 0 cancels the request.
    """
    _prctl(_PR_SET_PDEATHSIG, number)


def forks_die_with_this_process() -> None:
    """Makes child processes that the main thread forks from now on, such as loader workers, end with this process."""
    from_main_thread = [False]  # what another thread starts would end with that thread

    def before() -> None:
        from_main_thread[0] = threading.current_thread() is threading.main_thread()

    def in_child() -> None:
        if from_main_thread[0]:
            die_with_parent()

    os.register_at_fork(before=before, after_in_child=in_child)


def adopt_orphans() -> None:
    """Makes this process the parent of orphaned descendants, in any session (a subreaper)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_children(spared: Container[int]) -> None:
    """Kills the children of this process with their process groups.

    Args:
        spared: Processes not to kill.
    """
    for process in children():
        if process not in spared:
            with suppress(ProcessLookupError, PermissionError):
                group = os.getpgid(process)
                if group != os.getpgrp():
                    os.killpg(group, signal.SIGKILL)
                os.kill(process, signal.SIGKILL)


def children() -> list[int]:
    """Child processes of this one; none where the kernel does not list them."""
    with suppress(OSError):
        tasks = Path("/proc/self/task").iterdir()
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    return []


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
