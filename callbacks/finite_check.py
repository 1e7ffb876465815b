"""FiniteCheck: a NaN or infinite loss or metric ends the run."""

import sys
from collections.abc import Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from models.base import BaseModule


class DivergedError(RuntimeError):
    """A loss or a metric is NaN or infinite."""


class FiniteCheck(Callback):
    """Ends a fit, validation or test whose loss or metrics are NaN or infinite, before anything is saved of it.

    The training loss is looked at after each step on a CPU, elsewhere every `trainer.log_every_n_steps` steps, as each
    look waits for the device. With a gradient scaler (`16-mixed`), which skips such steps, only metrics are looked at.

    Args:
        allowed: Metrics that may be NaN or infinite.
    """

    def __init__(self, *, allowed: Sequence[str] = ()) -> None:
        self.allowed = frozenset(allowed)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor) or getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        if loss.device.type != "cpu" and (batch_idx + 1) % max(trainer.log_every_n_steps, 1):  # type: ignore[attr-defined]
            return
        if not bool(loss.isfinite().all()):
            raise DivergedError(
                f"the training loss is {float(loss.sum()):g} in step {trainer.global_step} (epoch "
                f"{trainer.current_epoch}, batch {batch_idx}); {_ADVICE}"
            )

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            at = f" after step {trainer.global_step} (epoch {trainer.current_epoch})" * (trainer.state.fn == "fit")
            if not _is_empty(pl_module, "validation"):
                self._check_metrics(trainer, f"{at}; {_ADVICE}")

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not _is_empty(pl_module, "test"):
            advice = "look at the data of the split and at the fit"
            self._check_metrics(trainer, f", so that the test has no result; {advice}")

    def _check_metrics(self, trainer: Trainer, what_to_do: str) -> None:
        for name, value in sorted(trainer.callback_metrics.items()):
            if name not in self.allowed and not bool(value.isfinite().all()):
                raise DivergedError(f"{name} is {float(value):g}{what_to_do}")


def _is_empty(pl_module: LightningModule, stage: Literal["validation", "test"]) -> bool:
    """Whether no value counted, which makes metrics NaN; few batches of a stream may all be its warm-up."""
    if not isinstance(pl_module, BaseModule):
        return False
    mean_loss = pl_module.val_loss if stage == "validation" else pl_module.test_loss
    if mean_loss.weight or not mean_loss.update_called:  # a model that logs its own loss never updates it
        return False
    print(f"warning: the {stage} held no value that counts (padding or warm-up alone): no metrics", file=sys.stderr)  # noqa: T201
    return True


_ADVICE = (
    "the model has diverged: lower the learning rate, clip gradients (trainer.gradient_clip_val), look at the data; "
    "`fit --ckpt_path` goes on from the last checkpoint"
)
