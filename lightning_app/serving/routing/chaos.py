"""Chaos: faults that are injected on purpose, into calls of models, the online store and the journal."""

import logging
import random
import time
from collections.abc import Callable, Collection, Sequence

from lightning_app.packaging.format.errors import StoppedError
from lightning_app.packaging.runtime.stopping import current_stop
from lightning_app.serving.config.resilience_config import ChaosConfig, Fault
from lightning_app.serving.inference.loaded_model import Answer, Prepared
from lightning_app.serving.journal.errors import JournalError

AnswerAll = Callable[[Sequence[Prepared]], list[Answer | Exception]]
_log = logging.getLogger("lightning_app.serving")
_TURN_SECONDS = 0.002


class ChaosError(RuntimeError):
    """An error that was injected."""


class Chaos:
    """Faults of a worker; what has none costs nothing, as nothing is put in its way.

    Args:
        config: The faults.
    """

    def __init__(self, config: ChaosConfig) -> None:
        self._config = config
        self._random = random.Random(config.seed)
        self._began = time.monotonic()
        _log.warning("CHAOS: faults are injected on purpose: %s", "; ".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """The faults in words."""
        return [_in_words(fault) for fault in self._config.faults]

    def around(self, answer: AnswerAll, *, model: str, arm: str) -> AnswerAll | None:
        """Calls of an arm with their faults; None if it has none.

        Args:
            answer: Calls the model.
            model: Name of the model.
            arm: Name of the arm.
        """
        faults = self._of(("error", "delay", "hang", "freeze"), model, arm)
        if not faults:
            return None

        def faulty(requests: Sequence[Prepared]) -> list[Answer | Exception]:
            for fault in self._now(faults):
                if fault.kind == "error":
                    return [ChaosError("an error that was injected")] * len(requests)
                if fault.kind == "delay":
                    time.sleep(fault.delay_ms / 1000)
                else:
                    self._hang(fault)
            return answer(requests)

        return faulty

    def store_fault(self, model: str) -> Callable[[], None] | None:
        """Called before the store of a model is read; None if it has no faults.

        Args:
            model: Name of the model.
        """
        faults = self._of(("store_down", "store_slow"), model, None)
        if not faults:
            return None

        def fail() -> None:
            from features.store import StoreError

            for fault in self._now(faults):
                if fault.kind == "store_down":
                    raise StoreError("store: down, which was injected")
                time.sleep(fault.delay_ms / 1000)

        return fail

    def journal_fault(self) -> Callable[[], None] | None:
        """Called before the journal is written; None if it has no faults."""
        faults = self._of(("journal_down", "journal_slow"), None, None)
        if not faults:
            return None

        def fail() -> None:
            for fault in self._now(faults):
                if fault.kind == "journal_down":
                    raise JournalError("journal: down, which was injected")
                time.sleep(fault.delay_ms / 1000)

        return fail

    def _of(self, kinds: Collection[str], model: str | None, arm: str | None) -> list[Fault]:
        return [
            fault
            for fault in self._config.faults
            if fault.kind in kinds
            and (fault.model is None or model is None or fault.model == model)
            and (fault.arm is None or arm is None or fault.arm == arm)
        ]

    def _now(self, faults: Sequence[Fault]) -> list[Fault]:
        """Faults that happen to this call."""
        age = time.monotonic() - self._began
        return [fault for fault in faults if _is_on(fault, age) and self._random.random() < fault.share]

    def _hang(self, fault: Fault) -> None:
        """Hangs until the fault is over; unless it is a freeze, as a loop in a graph does, until it is stopped."""
        stop = current_stop() if fault.kind == "hang" else None
        while _is_on(fault, time.monotonic() - self._began):
            if stop is not None and stop.is_set:
                raise StoppedError("a call that hung on purpose was stopped")
            time.sleep(_TURN_SECONDS)


def _is_on(fault: Fault, age: float) -> bool:
    return age >= fault.after and (fault.seconds is None or age < fault.after + fault.seconds)


def _in_words(fault: Fault) -> str:
    whose = "" if fault.model is None else f" of {fault.model}"
    whose += "" if fault.arm is None else f" ({fault.arm})"
    share = "" if fault.share == 1 else f" for {100 * fault.share:g} % of the calls"
    until = "to the end" if fault.seconds is None else f"for {fault.seconds:g} s"
    delay = f" by {fault.delay_ms:g} ms" if fault.kind in ("delay", "store_slow", "journal_slow") else ""
    return f"{fault.kind}{whose}{delay}{share}, from {fault.after:g} s after the start {until}"
