"""CallThread: the thread of a model's long calls; one that hangs is left behind, and another takes its place."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")
MOST_STUCK = 4
"""Threads of a model that may hang at a time; as long as so many do, it is not called."""


class Call(Generic[Argument, Result]):
    """A call in a thread.

    Args:
        function: What is called.
        argument: Its argument.
        done: Called with the result, or the error, in the event loop; not if the call was left behind.
    """

    def __init__(
        self,
        function: Callable[[Argument], Result],
        argument: Argument,
        done: Callable[[Result | BaseException], object],
    ) -> None:
        self._function, self._argument, self._done = function, argument, done
        self._loop = asyncio.get_running_loop()
        self.is_left = False

    def run(self) -> None:
        """Calls, in the thread."""
        try:
            result: Result | BaseException = self._function(self._argument)
        except BaseException as error:  # it belongs to those who wait for the result
            result = error
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, result)

    def _end(self, result: Result | BaseException) -> None:
        if not self.is_left:
            self._done(result)


class CallThread:
    """A daemon thread that calls one thing at a time; started by its first call.

    Python cannot end a thread. One whose call hangs is left behind: it ends by itself if the call ever does, and no
    process waits for it when it ends.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Call[object, object] | None] | None = None
        self._stuck: list[threading.Thread] = []
        self._thread: threading.Thread | None = None

    @property
    def num_stuck(self) -> int:
        """Number of threads that were left behind and still hang."""
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        return len(self._stuck)

    def call(
        self,
        function: Callable[[Argument], Result],
        argument: Argument,
        done: Callable[[Result | BaseException], object],
    ) -> "Call[Argument, Result]":
        """Calls a function in the thread; the one before has to have ended, or to have been left behind.

        Args:
            function: What is called.
            argument: Its argument.
            done: Called with the result, or the error, in the event loop.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            self._thread = threading.Thread(target=_run, args=(self._calls,), name=self._name, daemon=True)
            self._thread.start()
        call = Call(function, argument, done)
        self._calls.put(call)  # type: ignore[arg-type]
        return call

    def leave(self, call: "Call[Argument, Result]") -> None:
        """Leaves a call that hangs behind with its thread; the next call has another one.

        Args:
            call: The call.
        """
        call.is_left = True
        assert self._thread is not None
        self._stuck.append(self._thread)
        self.close()

    def close(self) -> None:
        """Ends the thread after its call."""
        if self._calls is not None:
            self._calls.put(None)
        self._calls = self._thread = None


def _run(calls: "SimpleQueue[Call[object, object] | None]") -> None:
    while (call := calls.get()) is not None:
        call.run()
        del call  # an answer is not kept until the next call
