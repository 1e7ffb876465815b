"""TabularModule, the LightningModule of networks on feature tables."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.layers import Standardize
from models.output_shape import check_output, naming
from models.tabular.task import TabularTask


class TabularModule(BaseModule):
    """Trains a network on rows of numbers, categories and vectors.

    `forward` takes numbers in raw units and answers in raw units, or with probabilities. Numbers are standardised with
    the statistics of the training rows, which the checkpoint contains. A missing number enters the network as 0, the
    mean, with an indicator beside it. The indicator is always 0 for columns that had no missing value in the training
    rows: the network has not learned what it means, so a value that is missing later counts as the mean.

    Args:
        network: Maps `numbers`, `missing`, `categories` and `vectors` (those of them that the data has) to
            (B, output_size), see `MLP.forward`.
        task: Meaning of the outputs: loss, predictions and metrics.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.tabular:TabularExporter"
    run_callbacks = ("lightning_app.evaluation.confusion:ConfusionMatrix",)
    injected_arguments = (*BaseModule.injected_arguments, "network", "task")

    may_miss: Tensor
    features_digest: Tensor

    def __init__(
        self,
        *,
        network: nn.Module,
        task: TabularTask,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self._metrics = task.metrics  # read by configure_metrics
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.network = network
        self.task = task
        self.num_numbers = num_numbers
        self.cardinalities = tuple(cardinalities or ())
        self.vector_size = vector_size
        self.scale = Standardize(num_columns=num_numbers)
        self.register_buffer("may_miss", torch.zeros(num_numbers))
        self.register_buffer("features_digest", torch.zeros(32, dtype=torch.uint8))

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if numbers are predicted."""
        return self.task.num_classes

    @override
    def configure_metrics(self) -> MetricCollection:
        return self._metrics()

    @override
    def setup(self, stage: str) -> None:
        """Copies statistics of the training rows from the data module; a checkpoint loaded later overrides them."""
        data = getattr(self.trainer, "datamodule", None)
        num_classes = getattr(data, "num_classes", self.num_classes)
        if num_classes != self.num_classes:
            label = f"has {num_classes} classes" if num_classes else "is a number"
            raise ValueError(
                f"model.task: {type(self.task).__name__} predicts "
                f"{f'{self.num_classes} classes' if self.num_classes else 'a number'}, but the label {label}"
            )
        statistics = getattr(data, "statistics", None)
        if stage != "fit" or statistics is None:
            return
        self.scale.set_statistics((statistics["mean"], statistics["std"]))
        self.may_miss.copy_(statistics["may_miss"])
        self.features_digest.copy_(statistics["digest"])
        if not self.num_classes:
            self.task.set_statistics(statistics["target_mean"], statistics["target_std"])

    def check_features(self, digest: Tensor) -> None:
        """Raises unless the features are those that the model was trained on, with the same fitted state.

        Args:
            digest: Of definitions and fitted state, uint8 (32,).

        Raises:
            ValueError: They differ.
        """
        trained = self.features_digest.cpu()
        if trained.any() and not torch.equal(trained, digest.cpu()):
            raise ValueError(
                f"data: features and their fitted state have the digest {_hex(digest)}, the model was trained on "
                f"{_hex(trained)}: definitions, selected features, training rows or split differ; use those of the run"
            )

    def _check_features(self) -> None:
        statistics = getattr(getattr(self.trainer, "datamodule", None), "statistics", None)
        if statistics is not None:
            self.check_features(statistics["digest"])

    @override
    def on_fit_start(self) -> None:
        self._check_features()

    @override
    def on_validation_start(self) -> None:
        self._check_features()

    @override
    def on_test_start(self) -> None:
        self._check_features()

    @override
    def on_predict_start(self) -> None:
        self._check_features()

    def forward(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Predictions in raw units, or probabilities.

        Args:
            numbers: Raw units, float32 (B, F), any finite number where missing.
            missing: True where a number is missing, bool (B, F).
            categories: Indices, 0 unknown, 1 missing, int64 (B, K).
            vectors: float32 (B, V).

        Returns:
            (B,), or (B, num_classes).
        """
        return self.task.predict(self.network_outputs(numbers, missing, categories, vectors))

    def network_outputs(
        self, numbers: Tensor | None, missing: Tensor | None, categories: Tensor | None, vectors: Tensor | None
    ) -> Tensor:
        """Outputs of the network, (B, output_size); arguments as of `forward`."""
        inputs: Batch = {}
        if numbers is not None:
            assert missing is not None
            inputs["numbers"] = torch.where(missing, 0.0, self.scale(numbers))
            inputs["missing"] = missing.to(numbers.dtype) * self.may_miss
        if categories is not None:
            inputs["categories"] = categories
        if vectors is not None:
            inputs["vectors"] = vectors
        meaning = "(batch, output_size)"
        with naming(self.network, key="model.network", inputs=inputs, meaning=meaning):
            outputs: Tensor = self.network(**inputs)
        check_output(outputs, (None, self.task.output_size), part=self.network, key="model.network", meaning=meaning)
        return outputs

    def _outputs(self, batch: Batch) -> Tensor:
        inputs = tensor_inputs(batch)
        return self.network_outputs(*(inputs.get(name) for name in ("numbers", "missing", "categories", "vectors")))

    @override
    def step(self, batch: Batch) -> StepOutput:
        outputs = self._outputs(batch)
        return self._step_output(outputs, self.task.predict(outputs), batch["target"])

    @override
    def evaluate(self, outputs: Tensor, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Predictions, raw units (B,) or probabilities (B, num_classes).
            batch: With `target`.
        """
        return self._step_output(self.task.outputs_of(outputs), outputs, batch["target"])

    def _step_output(self, outputs: Tensor, predictions: Tensor, targets: Tensor) -> StepOutput:
        return StepOutput(
            loss=self.task.loss(outputs, targets), predictions=predictions, targets=targets, weight=len(targets)
        )

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return {"row": batch["row"], self.task.answer: self.task.predict(self._outputs(batch))}

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        inputs: dict[str, Tensor] = {}
        if self.num_numbers:
            inputs["numbers"] = torch.randn(2, self.num_numbers)
            inputs["missing"] = torch.rand(2, self.num_numbers) < 0.5
        if self.cardinalities:
            inputs["categories"] = torch.zeros(2, len(self.cardinalities), dtype=torch.long)
        if self.vector_size:
            inputs["vectors"] = torch.randn(2, self.vector_size)
        return inputs


def _hex(digest: Tensor) -> str:
    return bytes(digest.tolist()).hex()[:12]


def tensor_inputs(batch: Batch) -> Batch:
    """Inputs of `TabularModule.forward` in a batch, whose missing numbers are NaN.

    Args:
        batch: With `numbers`, `categories` and `vectors`, as far as the data has them.
    """
    inputs: Batch = {name: batch[name] for name in ("categories", "vectors") if name in batch}
    if "numbers" in batch:
        missing = batch["numbers"].isnan()
        inputs = {"numbers": batch["numbers"].masked_fill(missing, 0.0), "missing": missing, **inputs}
    return inputs
