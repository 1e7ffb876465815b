"""TaskModule, a BaseModule whose decision thresholds are chosen on the rows of each validation."""

from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torchmetrics import Metric, MetricCollection
from typing_extensions import override

from models.base import BaseModule, OptimizerFactory, SchedulerFactory, StepOutput
from models.tasks.decision_metrics import DecisionMetric
from models.tasks.multi_task import HeadMetric
from models.tasks.task import TabularTask


class TaskModule(BaseModule):
    """Trains on a task.

    A task with a threshold rule gets its thresholds from the predictions of each validation of a fit, before the
    checkpoint of that validation is saved: a checkpoint has the thresholds of its own predictions. Metrics of decisions
    are computed at these thresholds.

    Args:
        task: Meaning of the outputs: loss, predictions and metrics.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    task: TabularTask

    def __init__(
        self,
        *,
        task: TabularTask,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self._metrics = task.metrics  # read by configure_metrics
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.task = task
        self._threshold_metrics = nn.ModuleDict({f"of_{head}": one for head, one in task.threshold_metrics().items()})

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if numbers are predicted."""
        return self.task.num_classes

    def remarks(self) -> list[str]:
        """Lines for the report of a test."""
        return self.task.describe_thresholds()

    def decide(self, predictions: Any) -> Any:
        """What is answered, see `TabularTask.decide`."""
        return self.task.decide(predictions)

    @override
    def configure_metrics(self) -> MetricCollection:
        return self._metrics()

    @override
    def _evaluate(self, batch: Any, loss_name: str, mean_loss: Any, metrics: MetricCollection) -> StepOutput:
        output = super()._evaluate(batch, loss_name, mean_loss, metrics)
        if self._chooses():
            for metric in self._threshold_metrics.values():
                assert isinstance(metric, Metric)
                metric.update(output.predictions, output.targets)
        return output

    def _chooses(self) -> bool:
        trainer = self.trainer
        fitting = trainer.state.fn == TrainerFn.FITTING and trainer.validating and not trainer.sanity_checking
        return bool(self._threshold_metrics) and fitting

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        # Not at the end of the epoch: Lightning keeps the values of metrics that a callback reads after the last batch.
        if self._chooses() and batch_idx + 1 == self.trainer.num_val_batches[0]:
            self._choose_thresholds()

    def _choose_thresholds(self) -> None:
        chosen = {}
        for name, metric in self._threshold_metrics.items():
            assert isinstance(metric, Metric)
            chosen[name.removeprefix("of_")] = metric.compute().reshape(-1)  # one value would be a scalar
            metric.reset()
        self.task.set_thresholds(chosen)
        self._put_thresholds(self.val_metrics)
        for head, values in chosen.items():
            for place, value in enumerate(values.tolist()):
                several = f"/{place}" if len(values) > 1 else ""
                name = f"val/{f'{head}/' if head else ''}threshold{several}"
                self.log(name, value, on_step=False, on_epoch=True, reduce_fx="max", rank_zero_only=True)

    @override
    def on_validation_epoch_start(self) -> None:
        self._put_thresholds(self.val_metrics)

    @override
    def on_test_epoch_start(self) -> None:
        self._put_thresholds(self.test_metrics)

    def _put_thresholds(self, metrics: MetricCollection) -> None:
        thresholds = self.task.thresholds()
        for name, metric in metrics.items(keep_base=True, copy_state=False):
            head = name.rpartition("/")[0]
            if isinstance(metric, DecisionMetric | HeadMetric) and head in thresholds:
                metric.set_thresholds(thresholds[head])
