"""Trial process: an ordinary fit that reports each validation to the sweep and stops on request.

It runs in a process of the fork server, and, where a trial has several ranks, in those that Lightning starts by
`python -m lightning_app.start_trial fit ...`.
"""

import json
import math
import os
import signal
import socket
import sys
import traceback
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from callbacks import FiniteCheck
from lightning_app.cli import run
from lightning_app.errors import UsageError, describe, exit_code
from sweeps.trials.address import ADDRESS
from sweeps.trials.fit_parser import FitParser
from sweeps.trials.measurements import Measurements
from sweeps.trials.process_tree import die_with_parent

_ROUNDS = 25
"""Boosting rounds between two reports."""


class TrialReport(Callback):
    """Sends the watched metrics after each validation; the answer says whether to go on.

    Rank 0 speaks with the sweep, all ranks hear its answer: they stop together, at the end of this validation, as a fit
    does that has come to its last epoch.

    Args:
        address: The sweep's socket.
        trial: Number of the trial.
        metrics: Names of the metrics.
        patience: Seconds to wait for an answer. A sweep that gives none may have lost the trial to another one.
        measurements: What is reported beside the metrics.
    """

    def __init__(
        self, *, address: str, trial: int, metrics: list[str], patience: float, measurements: Measurements
    ) -> None:
        self.address = address
        self.trial = trial
        self.metrics = metrics
        self.patience = patience
        self.measurements = measurements
        self.was_pruned = False
        self._rounds_reported = 0
        self._connection: socket.socket | None = None

    def on_fit_round(self, number: int, values: dict[str, float]) -> bool:
        """Reports every so many rounds of a fit that has rounds (`WholeTableModule`), if they have the watched metrics.

        Args:
            number: Of the round, from 1.
            values: By name.

        Returns:
            Whether the sweep stops the trial.
        """
        if number % _ROUNDS or any(name not in values for name in self.metrics):
            return False
        self.was_pruned = self._ask(self._rounds_reported, [values[name] for name in self.metrics], last=False)
        self._rounds_reported += 1
        return self.was_pruned

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or self.was_pruned:
            return
        missing = [name for name in self.metrics if name not in trainer.callback_metrics]
        if missing:
            found = ", ".join(name for name in sorted(trainer.callback_metrics) if name.startswith("val/"))
            raise UsageError(f"metric: {missing[0]!r} is not logged at validation, there are {found}")
        stop = False
        if trainer.is_global_zero:
            values = [float(trainer.callback_metrics[name]) for name in self.metrics]
            step, last = _number_of_validation(trainer)
            stop = self._ask(self._rounds_reported + step, values, last=last)
        self.was_pruned = bool(trainer.strategy.broadcast(stop))
        if self.was_pruned:
            trainer.should_stop = True

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and self._connection is None:  # it ended before its first validation
            self.was_pruned = self._ask(-1, [], last=True)

    def _ask(self, step: int, values: list[float], *, last: bool) -> bool:
        measured = self.measurements.found()
        message = {"trial": self.trial, "step": step, "last": last, "values": values, "measured": measured}
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(self.patience)
            self._connection.connect(self.address)
        self._connection.sendall(json.dumps(message).encode() + b"\n")
        try:
            answer = self._connection.makefile("rb").readline()
        except TimeoutError:
            # Whoever has the trial now goes on from the checkpoint before this validation, and reports it.
            print("error: no answer from the sweep; this trial may be another one's", file=sys.stderr)  # noqa: T201
            os.kill(os.getpid(), signal.SIGKILL)
            raise
        if not answer:
            raise ConnectionError("the sweep that this trial belongs to is gone")
        return bool(json.loads(answer)["stop"])


def _number_of_validation(trainer: Trainer) -> tuple[int, bool]:
    """Which validation of the fit this is, from 0, and whether it is the last one; a resumed fit counts on."""
    batches, every = trainer.num_training_batches, trainer.val_check_batch or math.inf
    loop = trainer.fit_loop.epoch_loop
    ended = 0 < trainer.max_steps <= trainer.global_step
    if trainer.check_val_every_n_epoch is None:  # counted over epochs
        return (loop.total_batch_idx + 1) // int(every) - 1, ended
    per_epoch = max(1, int(batches // every)) if math.isfinite(batches) else 1
    done = min(per_epoch, max(1, int(loop.batch_progress.current.ready // every))) if per_epoch > 1 else 1
    at_end = done == per_epoch and trainer.current_epoch + 1 == trainer.max_epochs
    return trainer.current_epoch * per_epoch + done - 1, ended or at_end


class TrialCLI(FitParser):
    """`fit` with a report of each validation; what it writes down is the config of an ordinary fit."""

    job = "trial"

    def __init__(self, args: list[str]) -> None:
        given = json.loads(os.environ[ADDRESS])
        self.measurements = Measurements(max_parameters=given.pop("max_parameters"))
        self.report = TrialReport(**given, measurements=self.measurements)
        try:
            super().__init__(args)
        except (SystemExit, SIGTERMException):
            _tag("interrupted")
            raise
        except BaseException:
            _tag("failed")
            raise
        _tag("pruned" if self.report.was_pruned else "completed")

    @override
    def callbacks_of_run(self, trainer: Any) -> list[Callback]:
        # A trial that diverges reports it, and the study keeps it as one that did.
        ours = [callback for callback in super().callbacks_of_run(trainer) if not isinstance(callback, FiniteCheck)]
        return [self.measurements, self.report, *ours]


def _tag(state: str) -> None:
    """Marks the W&B run of this process."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.run.tags = (*(wandb.run.tags or ()), state)


def main(args: list[str]) -> int:
    """Runs the fit; exit codes as of `lightning-app`."""
    try:
        run(args, command=TrialCLI)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except Exception as error:
        traceback.print_exc()
        print(f"error: {describe(error)}", file=sys.stderr)  # noqa: T201
        return exit_code(error)
    return 0


if __name__ == "__main__":  # a further rank, whose first one started it
    die_with_parent()
    sys.exit(main(sys.argv[1:]))
