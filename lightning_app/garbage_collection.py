"""Garbage collection of commands: disabled during imports, and limited to one collection at exit.

torch and Lightning create half a million objects that live as long as the process. Scanning them repeatedly during
their import, and in each of the last collections, costs a fifth of the CPU time of a short command.
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Disables garbage collection during the imports of a new process, whose objects later collections skip."""
    if "torch" in sys.modules or not gc.isenabled():  # main() was called by another program
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def end_with_one_collection() -> None:
    """Collects garbage once at exit, before the interpreter's own final collections, which then only see modules."""
    atexit.unregister(_collect_once)
    atexit.register(_collect_once)


def _collect_once() -> None:
    gc.collect()
    gc.freeze()
