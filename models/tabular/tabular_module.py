"""TabularModule, the LightningModule of networks on feature tables, texts included."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.layers import Standardize
from models.output_shape import check_output, naming
from models.tabular.number_embeddings import NumberEmbeddings
from models.tabular.number_scaling import QuantileNormal
from models.tasks import TabularTask, TaskModule
from models.tasks.ensembled_outputs import mean_loss, mean_prediction

_UNCHANGED = ("categories", "vectors", "token_ids", "attention_mask")
_EXAMPLE_LENGTH = 8
NETWORK_OUTPUTS = "network_outputs"
"""What a batch may carry: outputs of the network, where they are known."""


class TabularModule(TaskModule):
    """Trains a network on rows of numbers, categories, vectors and the tokens of a text.

    `forward` takes numbers in raw units and answers in raw units, or with probabilities. Numbers are standardised with
    the statistics of the training rows, which the checkpoint contains. A missing number enters the network as 0, the
    mean, with an indicator beside it. The indicator is always 0 for columns that had no missing value in the training
    rows: the network has not learned what it means, so a value that is missing later counts as the mean.

    A network may predict several times per row (`TabM`): training takes the mean of the members' losses, the answer is
    the mean of their predictions, and loss and metrics of validation and test are those of that answer.

    Args:
        network: Maps `numbers`, `missing`, `categories`, `vectors`, `token_ids` and `attention_mask` (those of them
            that the data has) to (B, output_size), see `MLP.forward` and `TextNetwork.forward`, or to
            (B, members, output_size), see `TabM.forward`.
        task: Meaning of the outputs: loss, predictions and metrics.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
        scaling: Of numbers: `standard` for mean 0 and deviation 1, `quantile_normal` for the normal score of the rank
            among the training rows, on which outliers and skewed columns have little weight.
        category_dropout: Share of the categories that a training step replaces by unknown, so that an unknown category
            gets an embedding that was trained.
        vocab_size: Number of token ids; 0 without tokens.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.tabular:TabularExporter"
    run_callbacks: ClassVar[tuple[str, ...]] = ("lightning_app.evaluation.confusion:ConfusionMatrix",)
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
        scaling: Literal["standard", "quantile_normal"] = "standard",
        category_dropout: float = 0.0,
        vocab_size: int = 0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if not 0 <= category_dropout < 1:
            raise ValueError(f"model.category_dropout: {category_dropout} given, 0 to below 1 is allowed")
        super().__init__(task=task, optimizer=optimizer, scheduler=scheduler)
        self.network = network
        self.num_numbers = num_numbers
        self.cardinalities = tuple(cardinalities or ())
        self.vector_size = vector_size
        self.category_dropout = category_dropout
        self.scale = (Standardize if scaling == "standard" else QuantileNormal)(num_columns=num_numbers)
        self.vocab_size = vocab_size
        self.register_buffer("may_miss", torch.zeros(num_numbers))
        self.register_buffer("features_digest", torch.zeros(32, dtype=torch.uint8))

    @override
    def setup(self, stage: str) -> None:
        """Copies statistics of the training rows from the data module; a checkpoint loaded later overrides them."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            self.task.check_heads(getattr(data, "heads", None))
        num_classes = getattr(data, "num_classes", self.num_classes)
        if num_classes != self.num_classes:
            label = f"has {num_classes} classes" if num_classes else "is a number"
            raise ValueError(
                f"model.task: {type(self.task).__name__} predicts "
                f"{f'{self.num_classes} classes' if self.num_classes else 'a number'}, but the label {label}"
            )
        for part in self.modules():
            if isinstance(part, ChecksData):
                part.check_data(data)
        statistics = getattr(data, "statistics", None)
        if stage != "fit" or statistics is None:
            return
        if isinstance(self.scale, QuantileNormal):
            self.scale.set_quantiles(statistics["quantiles"])
        else:
            self.scale.set_statistics((statistics["mean"], statistics["std"]))
        for part in self.network.modules():
            if isinstance(part, NumberEmbeddings):
                part.set_quantiles(self.scale(statistics["quantiles"].T).T)
        self.may_miss.copy_(statistics["may_miss"])
        self.features_digest.copy_(statistics["digest"])
        self.task.learn(statistics)

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
        token_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Predictions in raw units, or probabilities.

        Args:
            numbers: Raw units, float32 (B, F), any finite number where missing.
            missing: True where a number is missing, bool (B, F).
            categories: Indices, 0 unknown, 1 missing, int64 (B, K).
            vectors: float32 (B, V).
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding, int64 (B, L).

        Returns:
            (B,), or (B, num_classes).
        """
        return mean_prediction(
            self.task, self.network_outputs(numbers, missing, categories, vectors, token_ids, attention_mask)
        )

    def network_outputs(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
        token_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Outputs of the network, (B, output_size) or (B, members, output_size); arguments as of `forward`."""
        inputs: Batch = {}
        if numbers is not None:
            assert missing is not None
            inputs["numbers"] = torch.where(missing, 0.0, self.scale(numbers))
            inputs["missing"] = missing.to(numbers.dtype) * self.may_miss
        if categories is not None:
            inputs["categories"] = categories
        if vectors is not None:
            inputs["vectors"] = vectors
        if token_ids is not None:
            assert attention_mask is not None
            inputs["token_ids"] = token_ids
            inputs["attention_mask"] = attention_mask
        meaning = "(batch, output_size)"
        with naming(self.network, key="model.network", inputs=inputs, meaning=meaning):
            outputs: Tensor = self.network(**inputs)
        members = [None] if isinstance(outputs, Tensor) and outputs.ndim == 3 else []
        expected = (None, *members, self.task.output_size)
        check_output(outputs, expected, part=self.network, key="model.network", meaning=meaning)
        return outputs

    def batch_outputs(self, batch: Batch) -> Tensor:
        """Outputs of the network for a batch, as of `network_outputs`.

        Args:
            batch: Of the data module. Outputs that it carries as `network_outputs` are not computed again.
        """
        if NETWORK_OUTPUTS in batch:
            return batch[NETWORK_OUTPUTS]
        inputs = tensor_inputs(batch)
        if self.training and self.category_dropout and "categories" in inputs:
            dropped = torch.rand(inputs["categories"].shape, device=self.device) < self.category_dropout
            inputs["categories"] = inputs["categories"].masked_fill(dropped, 0)
        return self.network_outputs(**inputs)

    @override
    def step(self, batch: Batch) -> StepOutput:
        outputs = self.batch_outputs(batch)
        predictions = mean_prediction(self.task, outputs)
        if outputs.ndim == 3 and not self.training:
            return self.evaluate(predictions, batch)
        return StepOutput(
            loss=mean_loss(self.task, outputs, batch["target"]),
            predictions=predictions,
            targets=batch["target"],
            weight=len(batch["target"]),
        )

    @override
    def evaluate(self, outputs: Tensor, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Predictions, raw units (B,) or probabilities (B, num_classes).
            batch: With `target`.
        """
        targets = batch["target"]
        loss = self.task.loss(self.task.outputs_of(outputs), targets)
        return StepOutput(loss=loss, predictions=outputs, targets=targets, weight=len(targets))

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        predictions = mean_prediction(self.task, self.batch_outputs(batch))
        named = {self.task.answer: predictions} if isinstance(predictions, Tensor) else predictions
        return {"row": batch["row"], **named, **self.task.decisions(predictions)}

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
        if self.vocab_size:
            inputs["token_ids"] = torch.randint(self.vocab_size, (2, _EXAMPLE_LENGTH))
            inputs["attention_mask"] = torch.ones(2, _EXAMPLE_LENGTH, dtype=torch.long)
        return inputs


@runtime_checkable
class ChecksData(Protocol):
    """A part of a model that not all data fit, such as an encoder with its own tokens."""

    def check_data(self, data: Any) -> None:
        """Raises unless a data module fits."""


def _hex(digest: Tensor) -> str:
    return bytes(digest.tolist()).hex()[:12]


def tensor_inputs(batch: Batch) -> Batch:
    """Inputs of `TabularModule.forward` in a batch, whose missing numbers are NaN.

    Args:
        batch: With `numbers`, `categories`, `vectors`, `token_ids` and `attention_mask`, as far as the data has them.
    """
    inputs: Batch = {name: batch[name] for name in _UNCHANGED if name in batch}
    if "numbers" in batch:
        missing = batch["numbers"].isnan()
        inputs = {"numbers": batch["numbers"].masked_fill(missing, 0.0), "missing": missing, **inputs}
    return inputs
