"""Exporter of a family of models: what its packages take and answer, and how they are measured on the test split."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from datamodules import BaseDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging.export.batches import (
    Arrays,
    Evaluation,
    RawParity,
    Sample,
    TestBatch,
    as_arrays,
    as_tensor,
    spread,
)
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.input_rows import rows_of_inputs
from lightning_app.packaging.export.onnx_file import write_onnx
from lightning_app.packaging.format.decision import Decision
from lightning_app.packaging.format.manifest import Layout, StateSpec, TensorSpec
from lightning_app.packaging.format.node_ids import NodeIds
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.text.tokenizer import Tokenizer
from models import BaseModule


class Exporter(ABC):
    """One family of models: the signature of its packages, their graph, and their evaluation on the test split.

    A LightningModule names its exporter in the class attribute `exporter`, see `find_exporter`. A subclass says
    `family`, `task`, `outputs` and `errors`; all else has defaults, which fit a module whose `example_inputs` are
    tensors (B, ...) named as in a batch of the data module, whose `forward` gives the output, or a dict of several, and
    whose `predict_step` gives the same by name.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family: str
    """Name of the family: letters, digits, `_`, `.` and `-`."""
    task: str
    """Name of the task, of the same characters; packages of one task can be compared."""
    pipeline_tag: str = "other"
    """Name of the task on Hugging Face, for the model card."""
    data_module: ClassVar[type[LightningDataModule]] = BaseDataModule
    """The data modules that the family is exported on."""
    layout: Layout = "rows"
    labels: tuple[str, ...] | None = None
    """Names of the classes, along the last axis of an output `probabilities`."""
    decisions: tuple[Decision, ...] = ()
    """How names are answered where not the likeliest of `labels` is: at a threshold, several labels, or by head."""
    block: int = 1
    """Neighbouring rows whose errors are correlated, for intervals of their mean."""
    error_name: str = "error of the row"
    """Name of what `errors` measures, for the model card."""
    row_name: str = "rows"
    """Name of the rows, plural."""
    scores_loss: bool = True
    """Whether the loss of the test can be computed from the package's answers."""
    not_optimized: str | None = None
    """Why `--optimize` makes no sense for the family, in words; None where it does."""

    module: BaseModule
    data: BaseDataModule

    def __init__(self, module: BaseModule, data: BaseDataModule) -> None:
        self.module = module
        self.data = data

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the package; those of `example_inputs`."""
        return tuple(
            TensorSpec(name, str(tensor.dtype).removeprefix("torch."), ("batch", *tensor.shape[1:]))
            for name, tensor in self.module.example_inputs().items()
        )

    @property
    @abstractmethod
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the package."""

    @property
    def state(self) -> tuple[StateSpec, ...]:
        """State that the package carries from chunk to chunk."""
        return ()

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Tokenizer, where the input is text."""
        return None

    @property
    def node_ids(self) -> NodeIds | None:
        """Ids of the nodes of the package's graph, where they are not numbers from 0."""
        return None

    @property
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]] | None:
        """Raw rows that the package answers, and the files of their preparation by name; None for inputs alone."""
        return None

    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:  # noqa: ARG002
        """Answers of the package to raw rows beside those of the checkpoint, over rows of the test split.

        Args:
            predictor: Of the package.
        """
        return iter(())

    @property
    def extra_files(self) -> Mapping[str, bytes]:
        """Further files of the package by name: verified with it, and for its users alone."""
        return {}

    @property
    def limitations(self) -> Sequence[str]:
        """Limitations of the package for its card, beyond what its author writes."""
        return ()

    @property
    def values_per_row(self) -> int:
        """Numbers of a row of the sample, inputs and outputs together."""
        return sum(prod(size for size in spec.shape if isinstance(size, int)) for spec in (*self.inputs, *self.outputs))

    def network(self) -> nn.Module:
        """Takes inputs and state, one tensor each; returns a tuple of the outputs and the next state."""
        return _Forward(self.module, _names(self.inputs), _names(self.outputs))

    def example(self) -> tuple[Tensor, ...]:
        """Inputs and state that the network is traced with, two rows; random numbers will do."""
        example = self.module.example_inputs()
        return tuple(example[spec.name] for spec in self.inputs)

    def onnx(self) -> bytes:
        """Content of the ONNX file; the default traces `network`."""
        return write_onnx(
            self.network().eval(), self.example(), inputs=self.inputs, outputs=self.outputs, state=self.state
        )

    @property
    def num_samples(self) -> int:
        """Samples of the test split."""
        return len(self.data.dataset("test"))

    @property
    def batch_size(self) -> int:
        """Samples of a batch of `walk`."""
        return self.data.eval_batch_size

    def test_batch(self, positions: np.ndarray) -> TestBatch:
        """A batch of the test split.

        Args:
            positions: Of the samples in the split, int64 (B,).
        """
        batch = self.data.dataset("test").__getitems__(positions)
        request = _pick(batch, _names(self.inputs), "a batch of the data module")
        predicted = self.module.predict_step(batch, 0)
        return TestBatch(
            rows=positions,
            request=as_arrays(request),
            answer=as_arrays(_pick(predicted, _names(self.outputs), f"{type(self.module).__name__}.predict_step")),
            step=self.module.step(batch),
            batch=batch,
        )

    def walk(self) -> Iterator[TestBatch]:
        """The whole test split, each row once, in its order."""
        for start in range(0, self.num_samples, self.batch_size):
            yield self.test_batch(np.arange(start, min(start + self.batch_size, self.num_samples)))

    def sample(self, count: int) -> Sample:
        """Rows from all over the test split.

        Args:
            count: How many; all of them where the split has fewer.
        """
        chosen = self.test_batch(spread(self.num_samples, count))
        return Sample(chosen.rows, chosen.request, chosen.answer, self.targets(chosen), self.ids(chosen))

    def targets(self, test_batch: TestBatch) -> Arrays:
        """Columns of targets beside the rows of the reference sample; those of `step`, where there is one per row."""
        targets = test_batch.step.targets
        return as_arrays({"target": targets}) if len(targets) == len(test_batch.rows) else {}

    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:  # noqa: ARG002
        """Columns that identify the rows of the reference sample, where no input does."""
        return {}

    def golden_request(self, sample: Sample) -> Arrays:
        """A small request of the sample."""
        return sample.at(np.arange(min(2, len(sample.rows)))).request

    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """Rows of the test split as a journal of requests has them, for the package's drift reference.

        A row is what one request asks for. The default takes the inputs of the graph, by named columns where they have
        some. An exporter with `raw_input` says here what its raw rows look like.

        Args:
            predictor: Of the package.
            held_out: Rows of `walk` with the package's answers and `targets`.
        """
        return rows_of_inputs(predictor, held_out)

    def metrics(self) -> MetricCollection:
        """The metrics of the test that can be computed from the package's answers."""
        return self.module.configure_metrics()

    def derived_metrics(self, values: Mapping[str, float]) -> Mapping[str, float]:  # noqa: ARG002
        """Further metrics of the family, lower is better, from those of `metrics`."""
        return {}

    def ask(self, predictor: Predictor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        """The package's answer to a batch of `walk`."""
        answer: Mapping[str, np.ndarray] = predictor.predict(test_batch.request)
        return answer

    def evaluate(self, answer: Mapping[str, np.ndarray], test_batch: TestBatch) -> Evaluation:
        """Measures answers to `test_batch.request`.

        Raises:
            UsageError: `errors` does not give one number per row.
        """
        outputs = self.module_outputs({spec.name: as_tensor(answer[spec.name]) for spec in self.outputs})
        errors = self.errors(outputs, test_batch.batch)
        if errors.shape != (len(test_batch.rows),):
            shape, needed = tuple(errors.shape), (len(test_batch.rows),)
            raise UsageError(
                f"export: {type(self).__name__}.errors gives a tensor of shape {shape}, one error per row is {needed}; "
                "see docs/extending.md"
            )
        if errors.isnan().any():
            raise UsageError(f"export: {type(self).__name__}.errors gives NaN for {int(errors.isnan().sum())} rows")
        return Evaluation(
            step=self.module.evaluate(outputs, test_batch.batch),
            errors=errors.double().numpy(),
            slices=self.slices(outputs, test_batch),
        )

    def module_outputs(self, answer: Mapping[str, Tensor]) -> Any:
        """What the module's `evaluate` takes, from the package's answer: its one output, or the dict of all."""
        return next(iter(answer.values())) if len(answer) == 1 else answer

    @abstractmethod
    def errors(self, outputs: Any, batch: Any) -> Tensor:
        """One error per row, lower is better, (B,).

        Args:
            outputs: As `module_outputs` gives them.
            batch: As in `TestBatch`.
        """

    def slices(self, outputs: Any, test_batch: TestBatch) -> Mapping[str, np.ndarray]:  # noqa: ARG002
        """Columns to average errors by: text, or numbers that are cut into thirds.

        Args:
            outputs: As `module_outputs` gives them.
            test_batch: The rows.
        """
        return {}


class _Forward(nn.Module):
    """`forward` of a module by the names of inputs and outputs."""

    def __init__(self, module: BaseModule, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    @override
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order."""
        outputs = self.module(**dict(zip(self.inputs, tensors, strict=True)))
        return tuple(outputs[name] for name in self.outputs) if isinstance(outputs, Mapping) else (outputs,)


def _names(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    return tuple(spec.name for spec in specs)


def _pick(values: Any, names: Sequence[str], source: str) -> dict[str, Tensor]:
    """Tensors of a mapping by name.

    Raises:
        UsageError: It is none, or lacks one.
    """
    missing = [name for name in names if not isinstance(values, Mapping) or name not in values]
    if missing:
        known = ", ".join(values) if isinstance(values, Mapping) else type(values).__name__
        raise UsageError(f"export: {source} gives {known}, {', '.join(missing)} is needed; see docs/extending.md")
    return {name: values[name] for name in names}
