"""BaseModule, the base class of every LightningModule: optimizer, scheduler, loss, metrics and their logging."""

import inspect
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from lightning.pytorch.utilities.model_helpers import _restricted_classmethod
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MetricCollection
from typing_extensions import override

from models.checkpoint_file import check_checkpoint
from models.metrics import WeightedMean
from models.parameter_groups import groups_of_parts
from models.pretrained_files import CHECKPOINT_KEY, checkpoint_follows, files_of
from models.trusted_classes import TrustedClasses

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
_LOG_SECONDS = 0.1

Batch = dict[str, Tensor]
"""A batch of most data modules; graph data modules yield PyG's `Data`, and their modules narrow `step` to it."""


@dataclass(frozen=True)
class StepOutput:
    """Loss, predictions and targets of one training or evaluation step.

    Attributes:
        loss: Scalar, mean over the samples that are not masked.
        predictions: Input of the metrics, any shape.
        targets: Same shape as `predictions`, or whatever the metrics expect as their second argument.
        weight: Number of samples in the mean.
        network_output: The network's full output, where `predictions` is a part of it.
    """

    loss: Tensor
    predictions: Tensor
    targets: Tensor
    weight: int
    network_output: Tensor | None = None


class BaseModule(LightningModule):
    """Trains, evaluates and logs; subclasses define `step` and `configure_metrics`.

    Args:
        optimizer: Factory, parameters -> optimizer; None for a model without gradient training.
        scheduler: Factory, optimizer -> learning-rate scheduler. Stepped after each optimizer step, or, for
            `ReduceLROnPlateau`, after each validation on `monitor`. If the scheduler has a `total_steps` argument that
            is omitted or null, it is set to the number of optimizer steps of the whole fit.
    """

    exporter: ClassVar[str | None] = None
    """Import path `package.module:Class` of the `Exporter` that makes packages of this class and its subclasses; None
    where there is none. A text, because models do not import the application."""

    run_callbacks: ClassVar[tuple[str, ...]] = ()
    """Import paths `package.module:Class` of callbacks that every run of this class has, made without arguments. Texts,
    because models do not import callbacks."""

    monitor: str = "val/loss"
    """Metric that selects the best checkpoint and drives plateau schedulers."""

    monitor_mode: Literal["min", "max"] = "min"
    """Whether a low or a high value of `monitor` is better. A plateau scheduler has a `mode` of its own."""

    untrained_margin: float = 0.0
    """Relative decrease of `monitor` by which a checkpoint has to beat the untrained model, if that was validated as
    well (`trainer.num_sanity_val_steps: -1`). A model that logs the standard error of this decrease, under the name of
    `monitor` with `_gain_error`, has to beat it by two of them too."""

    injected_arguments: tuple[str, ...] = ("optimizer", "scheduler")
    """Constructor arguments that are objects, not plain data. Checkpoints saved from Python code omit them, since they
    must load under `weights_only=True`; pass them again: `load_from_checkpoint(path, network=...)`. Checkpoints saved
    by the command line store their config instead and load without arguments."""

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__()
        from_command_line = _given_hyperparameters.get() is not None
        # logger=False: the run folder and W&B receive the whole resolved config once, nested.
        self.save_hyperparameters(ignore=() if from_command_line else self.injected_arguments, logger=False)
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        metrics = self.configure_metrics()
        self.val_metrics = metrics.clone(prefix="val/")
        self.test_metrics = metrics.clone(prefix="test/")
        # Not `self.log(..., sync_dist=True)`: Lightning 2.6 rounds batch sizes to integers when averaging over ranks.
        self.val_loss = WeightedMean()
        self.test_loss = WeightedMean()
        self._next_log = 0.0

    @override
    @_restricted_classmethod
    def load_from_checkpoint(
        cls,  # noqa: N805
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """Loads a checkpoint like Lightning, after verifying its checksums; only trusted classes are instantiated.

        Args:
            checkpoint_path: File or URL.
            map_location: Device of the tensors.
            hparams_file: Hyper-parameters for a checkpoint that has none.
            strict: Whether the names of all weights have to match.
            weights_only: False unpickles the whole file, which may run code.
            **kwargs: Constructor arguments that the checkpoint lacks, or that override it.

        Raises:
            ValueError: The file is damaged (see `models.checkpoint_file.check_checkpoint`); its hyper-parameters name
                a function or code of an untrusted module (see `models.trusted_classes`); or it was saved by a
                `Trainer` in Python code, without the `injected_arguments`.
        """
        if isinstance(checkpoint_path, str | Path) and Path(checkpoint_path).exists():
            check_checkpoint(checkpoint_path)
        file = checkpoint_path if isinstance(checkpoint_path, str | Path) else None
        with TrustedClasses() as rule, rule.explaining(str(checkpoint_path)), checkpoint_follows(file):
            try:
                return super().load_from_checkpoint(
                    checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs
                )
            except TypeError as error:
                missing = [name for name in cls.injected_arguments if f"'{name}'" in str(error) and name not in kwargs]
                if "required keyword-only argument" not in str(error) or not missing:
                    raise
                given = ", ".join(f"{name}=..." for name in missing)
                raise ValueError(
                    f"{checkpoint_path} was saved by a Trainer in code, which does not store {' and '.join(missing)}: "
                    f"give them again, {cls.__name__}.load_from_checkpoint(path, {given})"
                ) from error

    @property
    def num_fitted(self) -> int:
        """Number of fitted values: trainable parameters, or the coefficients of a closed-form solution."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    @abstractmethod
    def step(self, batch: Any) -> StepOutput:
        """Computes predictions and loss of one batch."""

    def evaluate(self, outputs: Any, batch: Any) -> StepOutput:  # noqa: ARG002
        """Loss, predictions and targets of what the network answers to a batch, from the answers alone.

        `step` and the check of an exported package both go through it, so that they cannot disagree.

        Args:
            outputs: What `forward` gives, or a part of it that metrics need.
            batch: The batch that was asked, with its targets.

        Raises:
            ValueError: The class does not define it, and an export needs it.
        """
        raise ValueError(
            f"model: {type(self).__name__} defines no evaluate(outputs, batch), by which an export measures a package; "
            "split it off `step`"
        )

    @abstractmethod
    def configure_metrics(self) -> MetricCollection:
        """Metrics of validation and test; each stage uses a clone of this collection."""

    @abstractmethod
    def example_inputs(self) -> dict[str, Tensor]:
        """Inputs of `forward` by argument name: two samples with valid shapes and dtypes."""

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        output = self.step(batch)
        if not output.loss.requires_grad:
            return None  # no gradient, e.g. a closed-form baseline
        loss, total_weight = output.loss, float(output.weight)
        if self.trainer.world_size > 1:
            # DDP averages gradients over processes; this weighting makes it the average over all their samples.
            local_weight = torch.tensor(total_weight, device=self.device)
            total_weight = float(self.trainer.strategy.reduce(local_weight, reduce_op="sum"))
            loss = loss * (output.weight * self.trainer.world_size / max(total_weight, 1.0))
        if not total_weight:
            return None  # every stream is padding or warm-up: no optimizer step
        if self._log_is_due():
            self.log("train/loss", output.loss.detach(), batch_size=output.weight, prog_bar=True)
        return loss

    def _log_is_due(self) -> bool:
        """True if a logger takes the value, at the end of an epoch, and ten times per second for the progress bar.

        Each call of `self.log` takes half a millisecond, a fifth of a training step on one small graph.
        """
        loop, now = self.trainer.fit_loop.epoch_loop, time.monotonic()
        logged = (loop._batches_that_stepped + 1) % max(self.trainer.log_every_n_steps, 1) == 0  # type: ignore[attr-defined]
        if logged or loop.batch_progress.is_last_batch or now >= self._next_log:
            self._next_log = now + _LOG_SECONDS
            return True
        return False

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val/loss", self.val_loss, self.val_metrics)

    @override
    def test_step(self, batch: Any, batch_idx: int) -> dict[str, StepOutput]:
        """Returns the output of `step`, for callbacks."""
        return {"step": self._evaluate(batch, "test/loss", self.test_loss, self.test_metrics)}

    def _evaluate(self, batch: Any, loss_name: str, mean_loss: WeightedMean, metrics: MetricCollection) -> StepOutput:
        # Metrics accumulate sums and counts and reduce those over ranks: means are exact for any batch sizes.
        output = self.step(batch)
        mean_loss.update(output.loss, output.weight)
        if output.weight:  # the padded end of a stream may hold no valid sample
            metrics.update(output.predictions, output.targets)
        self.log(loss_name, mean_loss, on_step=False, on_epoch=True)
        self.log_dict(metrics, on_step=False, on_epoch=True)
        return output

    def on_validation_epoch_end(self) -> None:
        """Steps plateau schedulers before the checkpoints of this validation are saved.

        Lightning steps them afterwards, so a run resumed from such a checkpoint would miss the step.
        """
        if self.trainer.state.fn != "fit" or self.trainer.sanity_checking:
            return
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                config.scheduler.step(float(self.trainer.callback_metrics[config.monitor or self.monitor]))

    @override
    def lr_scheduler_step(self, scheduler: LRScheduler | ReduceLROnPlateau, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # stepped in on_validation_epoch_end
            super().lr_scheduler_step(scheduler, metric)

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        parameters = self.parameters_to_train()
        if not parameters:
            return None
        if self.optimizer_factory is None:
            raise ValueError(
                f"model.optimizer: {type(self).__name__} has {self.num_fitted:,} parameters to "
                "train and no optimizer was given, e.g. `optimizer: {class_path: AdamW, init_args: {lr: 0.001}}`"
            )
        optimizer = self.optimizer_factory(parameters)  # type: ignore[arg-type]
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_scale", 1.0)
        if self.scheduler_factory is None:
            return optimizer
        scheduler = make_scheduler(self.scheduler_factory, optimizer, self._num_optimizer_steps)
        if isinstance(scheduler, ReduceLROnPlateau):
            # strict=False: an epoch without validation has no metric and takes no step.
            monitor = getattr(scheduler, "monitor", self.monitor)
            config = {"scheduler": scheduler, "monitor": monitor, "interval": "epoch", "strict": False}
        else:
            config = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": config}  # type: ignore[return-value]

    def parameters_to_train(self) -> list[nn.Parameter] | list[dict[str, Any]]:
        """Parameters for the optimizer, or parameter groups with their options.

        The option `lr_scale` multiplies the optimizer's rate. Parts with a method `lr_scales`, such as an encoder with
        a learning rate per depth, or `undecayed_parameters` get groups of their own.
        """
        return groups_of_parts(self)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the files of pretrained parts, see `models.pretrained_files`."""
        if files := files_of(self):
            checkpoint[CHECKPOINT_KEY] = files

    def _num_optimizer_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if steps in (-1, float("inf")):
            raise ValueError("model.scheduler needs the number of steps: set trainer.max_epochs or trainer.max_steps")
        return int(steps)


def make_scheduler(
    factory: SchedulerFactory, optimizer: Optimizer, num_steps: Callable[[], int]
) -> LRScheduler | ReduceLROnPlateau:
    """Builds a scheduler; passes the number of optimizer steps if it has a `total_steps` argument.

    Args:
        factory: Scheduler class, or a `functools.partial` of one (what the command line makes of a config).
        optimizer: The optimizer.
        num_steps: Returns the number of steps; called only if needed.
    """
    scheduler_class, arguments = class_and_arguments(factory)
    takes_total_steps = scheduler_class is not None and "total_steps" in inspect.signature(scheduler_class).parameters
    if takes_total_steps and arguments.get("total_steps") is None and not arguments.get("epochs"):
        return factory(optimizer, total_steps=num_steps())  # type: ignore[call-arg]
    return factory(optimizer)


def class_and_arguments(factory: Any) -> tuple[type | None, dict[str, Any]]:
    """The class that a factory builds, and its bound arguments; jsonargparse wraps the class in a partial.

    Args:
        factory: A class, or a `functools.partial` of one (what the command line makes of a config).
    """
    candidates = [factory, getattr(factory, "func", None), *getattr(factory, "args", ())]
    scheduler_class = next((candidate for candidate in candidates if isinstance(candidate, type)), None)
    return scheduler_class, getattr(factory, "keywords", {})
