"""Garbage collection of a command, left out where there is nothing to find: during imports, and at the end.

torch and Lightning are half a million objects that live as long as the process. Python walks over them again and again
while they are imported, and once more for each of its last collections: a fifth of the CPU time of a short command.
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """For the imports of a new process: they are collected neither meanwhile nor later."""
    if "torch" in sys.modules or not gc.isenabled():  # main() called by a program of somebody else
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def end_with_one_collection() -> None:
    """At the end of the process garbage is collected once, after which only the modules are left."""
    atexit.unregister(_collect_once)
    atexit.register(_collect_once)


def _collect_once() -> None:
    gc.collect()
    gc.freeze()
