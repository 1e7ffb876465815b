"""WholeTableModule: a tabular model that is fitted to the whole training table at once, not batch by batch."""

import os
import time
from abc import abstractmethod
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from models.base import Batch
from models.tabular.tabular_module import TabularModule

_TERMINATED = 143  # 128 + SIGTERM, what a shell reports
_FLUSH_SECONDS = 1.0


class WholeTableModule(TabularModule):
    """A tabular model with a fit of its own: one epoch of one step, which sees the whole training and validation rows.

    The loaders of training batches are not read beyond the first batch: `batch_size` has no effect on the fit, but for
    the rows that `trainer.limit_train_batches` leaves. A fit that is interrupted leaves no checkpoint; the same command
    starts it again, to the same result.
    """

    is_fitted: bool = False
    """Whether the fit of this process is done."""
    _limit: int | float = 1.0

    @abstractmethod
    def fit_table(self, train: Batch, val: Batch) -> None:
        """Fits the model.

        Args:
            train: All training rows: `numbers` with NaN where missing, `categories`, `vectors`, `target`.
            val: All validation rows.
        """

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage != "fit":
            return
        trainer, name = self.trainer, type(self).__name__
        if trainer.world_size > 1:
            raise ValueError(f"trainer.devices: {trainer.world_size} processes, {name} is fitted by one; give 1")
        if trainer.max_epochs != 1:
            raise ValueError(f"trainer.max_epochs: {trainer.max_epochs}, {name} is fitted in one epoch; give 1")
        if trainer.overfit_batches:  # type: ignore[attr-defined]
            raise ValueError(f"trainer.overfit_batches: given, {name} has no batches; take trainer.limit_train_batches")
        self._limit = trainer.limit_train_batches  # type: ignore[attr-defined]
        trainer.limit_train_batches = 1

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is None:
            raise ValueError(f"data: none given; a {type(self).__name__} needs a data module")
        train: Any = data.dataset("train")
        val: Any = data.dataset("val")
        rows = np.arange(len(train))
        taken = self._limit * data.batch_size if isinstance(self._limit, int) else round(self._limit * len(train))
        if taken < len(train):
            rows = np.sort(np.random.default_rng(self.run_seed).permutation(len(train))[:taken])
            self.say(f"fit: {taken:,} of {len(train):,} training rows, by trainer.limit_train_batches")
        self._rounds: list[tuple[int, dict[str, float]]] = []
        self._num_rounds = 0
        self._next_flush = time.monotonic() + _FLUSH_SECONDS
        try:
            self.fit_table(train.__getitems__(rows), val.__getitems__(np.arange(len(val))))
        finally:
            self._flush_rounds()
        self.is_fitted = True

    @property
    def run_seed(self) -> int:
        """Seed of the run."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0))

    def fit_metrics(self) -> dict[str, float]:
        """What the fit chose, logged with its validation; `step`, if there is one, places it in the history."""
        return {}

    @override
    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        if self.is_fitted and self.trainer.state.fn == "fit":
            self.log_dict(self.fit_metrics())

    def log_round(self, number: int, values: dict[str, float]) -> bool:
        """Gives the values of a step of the fit to the loggers, every `trainer.log_every_n_steps` steps.

        Steps are written together, at most once per second and at the end of the fit. A logger with a method
        `log_rows` gets all of them. Other loggers (W&B), whose calls cost as much as a step of a fit, get the first 100
        rows, then every tenth, from 1,000 on every hundredth, and so on.

        A callback with a method `on_fit_round(number, values)` is told every step, and may stop the
        fit by returning True; the report of a sweep's trial does.

        Args:
            number: Of the step, from 1.
            values: By name.

        Returns:
            Whether a callback stops the fit.

        Raises:
            SystemExit: The process was asked to end.
        """
        trainer = self.trainer
        if trainer.received_sigterm:
            self.say(f"fit: ended at step {number:,}; nothing is kept, the same command starts it again")
            raise SystemExit(_TERMINATED)
        if number % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            self._rounds.append((number, values))
            if time.monotonic() >= self._next_flush:
                self._flush_rounds()
        hooks = [getattr(callback, "on_fit_round", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        stops = [hook(number, values) for hook in hooks if hook is not None]
        return any(stops)

    def _flush_rounds(self) -> None:
        rows, self._rounds = self._rounds, []
        if not rows:
            return
        counted = list(enumerate(rows, start=self._num_rounds + 1))
        for logger in self.trainer.loggers:
            log_rows = getattr(logger, "log_rows", None)
            if log_rows is not None:
                log_rows(rows)
                continue
            for count, (number, values) in counted:
                if count % 10 ** max(0, len(str(count)) - 2) == 0:
                    logger.log_metrics(values, step=number)
        self._num_rounds += len(rows)
        self._next_flush = time.monotonic() + _FLUSH_SECONDS

    def say(self, line: str) -> None:
        """Prints a line, in the first process."""
        rank_zero_only(print)(line, flush=True)

    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of a row as far as the data module knows them: numbers, categories, vectors."""
        layout = getattr(getattr(getattr(self.trainer, "datamodule", None), "pipeline", None), "layout", None)
        numbers = getattr(layout, "numbers", None) or tuple(f"number_{index}" for index in range(self.num_numbers))
        categories = [column.name for column in getattr(layout, "categories", ())] or [
            f"category_{index}" for index in range(len(self.cardinalities))
        ]
        return (*numbers, *categories, *(f"vector_{index}" for index in range(self.vector_size)))
