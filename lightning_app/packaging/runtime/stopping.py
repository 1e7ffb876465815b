"""Stopping of calls: a call of an ONNX graph that runs for too long is stopped from another thread."""

import threading
from collections.abc import Callable
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")
_SILENT = 4


class Stop:
    """Stops the calls of one thread.

    ONNX Runtime looks whether it shall stop before each node of a graph, and before each turn of a loop: a node that
    never ends by itself is not stopped.

    Attributes:
        options: Options of the calls.
        is_set: Whether they shall stop.
    """

    __slots__ = ("is_set", "options")

    def __init__(self) -> None:
        from onnxruntime import RunOptions

        self.is_set = False
        self.options: RunOptions = RunOptions()
        self.options.log_severity_level = _SILENT  # the error is raised

    def set(self) -> None:
        """Stops the call that runs, and those that come under this stop."""
        self.is_set = True
        self.options.terminate = True


class _Current(threading.local):
    stop: Stop | None = None


_current = _Current()


def current_stop() -> Stop | None:
    """What stops the calls of this thread; None if nothing does."""
    return _current.stop


def call_under(stop: Stop, function: Callable[[Argument], Result], argument: Argument) -> Result:
    """Calls a function whose calls of a graph end with `StoppedError` once a stop is set.

    Args:
        stop: The stop.
        function: The function.
        argument: Its argument.
    """
    _current.stop = stop
    try:
        return function(argument)
    finally:
        _current.stop = None
