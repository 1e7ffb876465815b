"""Garbage collection during the imports of a command: disabled.

torch and Lightning create half a million objects that live as long as the process. Scanning them repeatedly during
their import, and in every later collection, costs a large share of the CPU time of a short command.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Disables garbage collection during the imports of a new process, whose objects later collections skip.

    Objects that are skipped are not finalized at exit either: a file in a reference cycle would lose what is not
    flushed. Therefore only libraries may be imported here, and no code of a user may have run before.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
