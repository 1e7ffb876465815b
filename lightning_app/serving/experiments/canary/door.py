"""Door: runs `registry_door` beside the clock of the experiments, one order at a time."""

import subprocess
import sys
import time

import msgspec

from lightning_app.serving.experiments.canary.registry_door import Done, Order

_SECONDS = 120.0
"""Time that an order may take; it is given again later."""
_PAUSES = (2.0, 5.0, 15.0, 60.0)
"""Seconds between the tries of an order."""


class Door:
    """The way to the registry.

    Attributes:
        words: Why the order has to wait; empty if it does not.
    """

    def __init__(self) -> None:
        self.words = ""
        self._order: Order | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._until = self._next = 0.0
        self._tries = 0

    def ask(self, order: Order) -> Done | None:
        """Gives an order, or looks at the one that was given; what may be tried again is tried again.

        Args:
            order: The order; another one than before replaces it.

        Returns:
            What came of it; None while it is being carried out.
        """
        if self._order is not None and (self._order.canary, self._order.action) != (order.canary, order.action):
            self.close()
        self._order = order
        if self._child is None:
            if time.monotonic() >= self._next:
                self._start(order)
            return None
        if self._child.poll() is None:
            if time.monotonic() > self._until:
                self._stop()
                self._later(f"the registry took longer than {_SECONDS:g} s")
            return None
        child, self._child = self._child, None
        output = child.communicate()[0]
        try:
            done = msgspec.json.decode(output, type=Done)
        except msgspec.DecodeError:
            self._later(f"the registry's process ended with {child.returncode}")
            return None
        if done.outcome == "later":
            self._later(done.words)
            return None
        self._tries, self._order, self.words = 0, None, ""
        return done

    def close(self) -> None:
        """Forgets the order; a child that carries it out is ended."""
        self._stop()
        self._order, self._tries, self._next, self.words = None, 0, 0.0, ""

    def _start(self, order: Order) -> None:
        command = [sys.executable, "-P", "-m", "lightning_app.serving.experiments.canary.registry_door"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(msgspec.json.encode(order))
            self._child.stdin.close()
        except BrokenPipeError:  # it has died; its end says so
            pass
        self._child.stdin = None
        self._until = time.monotonic() + _SECONDS

    def _later(self, words: str) -> None:
        self.words = words
        self._next = time.monotonic() + _PAUSES[min(self._tries, len(_PAUSES) - 1)]
        self._tries += 1

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
