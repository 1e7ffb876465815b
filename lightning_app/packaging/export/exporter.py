"""Exporter: what the export has to know of a family of models."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torchmetrics import MetricCollection

from datamodules import BaseDataModule
from lightning_app.packaging.format.manifest import Layout, StateSpec, TensorSpec
from lightning_app.packaging.format.node_ids import NodeIds
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.tokenizer import Tokenizer
from models import BaseModule, StepOutput

Arrays = Mapping[str, np.ndarray | list[np.ndarray]]
"""By name of an input or output: rows first, or an array per row where rows differ in size."""


@dataclass(frozen=True)
class Tested:
    """Some rows of the test split, and what the checkpoint says to them.

    Attributes:
        rows: Key of each row, the same for all models on this data, int64 (B,).
        request: What the package is asked.
        answer: What it should answer.
        step: What `test` makes of the batch.
        batch: What the family needs to judge another answer.
    """

    rows: np.ndarray
    request: Arrays
    answer: Mapping[str, np.ndarray]
    step: StepOutput
    batch: Any


@dataclass(frozen=True)
class Sample:
    """Rows of the test split that can be asked in any order and number.

    Attributes:
        rows: Keys, int64 (B,).
        request: What the package is asked.
        answer: What it should answer.
        targets: Columns of what was right, rows first.
        ids: Columns that say what the rows are, where no input does.
    """

    rows: np.ndarray
    request: Arrays
    answer: Mapping[str, np.ndarray]
    targets: Arrays
    ids: Mapping[str, np.ndarray] = field(default_factory=dict)

    def at(self, places: np.ndarray) -> "Sample":
        """Some of the rows."""
        return Sample(
            rows=self.rows[places],
            request=take(self.request, places),
            answer={name: value[places] for name, value in self.answer.items()},
            targets=take(self.targets, places),
            ids={name: value[places] for name, value in self.ids.items()},
        )


@dataclass(frozen=True)
class Judged:
    """Answers of a package, measured as the test measures the checkpoint.

    Attributes:
        step: As `Tested.step`, of the package's answers.
        errors: One error per row, lower is better, float64 (B,).
        slices: Columns by name of a slice: text, or numbers that are cut into thirds.
        rows: Keys of the rows, where these are not all that was asked; else None.
    """

    step: StepOutput
    errors: np.ndarray
    slices: Mapping[str, np.ndarray]
    rows: np.ndarray | None = None


class Exporter(ABC):
    """One family of models: its signature, its graph, and a walk over its test split.

    A LightningModule names its exporter in the class attribute `exporter`, see `find_exporter`.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family: str
    """Name of the family, letters, digits, `_`, `.` and `-`."""
    task: str
    """Name of the task, of the same characters; packages are compared within one task."""
    pipeline_tag: str = "other"
    """What Hugging Face calls the task, for the model card."""
    data_module: ClassVar[type[LightningDataModule]] = BaseDataModule
    """The data modules that the family is exported on."""
    layout: Layout = "rows"
    labels: tuple[str, ...] | None = None
    block: int = 1
    """Neighbouring rows whose errors hang together, for intervals of their mean."""
    error_name: str
    """What the error of a row is, in words."""
    row_name: str
    """What a row is, in words, plural."""

    module: BaseModule
    data: BaseDataModule

    def __init__(self, module: BaseModule, data: BaseDataModule) -> None:
        self.module = module
        self.data = data

    @property
    @abstractmethod
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the package takes."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it answers."""

    @property
    def state(self) -> tuple[StateSpec, ...]:
        """What it carries from chunk to chunk."""
        return ()

    @property
    def tokenizer(self) -> Tokenizer | None:
        """How text becomes tokens, where the input is text."""
        return None

    @property
    def extra_files(self) -> Mapping[str, bytes]:
        """Further files of the package by name, for those who ask it; verified with it and not looked at."""
        return {}

    @property
    def node_ids(self) -> NodeIds | None:
        """What the nodes of the package's graph are called, where that is not their number."""
        return None

    @property
    def limitations(self) -> Sequence[str]:
        """What a reader of the card has to know of the package, beyond what its author writes."""
        return ()

    @property
    def values_per_row(self) -> int:
        """Numbers of a row of the sample, inputs and outputs together."""
        return sum(prod(size for size in spec.shape if isinstance(size, int)) for spec in (*self.inputs, *self.outputs))

    @abstractmethod
    def network(self) -> nn.Module:
        """Takes inputs and state, one tensor each; returns a tuple of the outputs and the next state."""

    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """What the network is traced with: two rows of random numbers will do."""

    @abstractmethod
    def walk(self) -> Iterator[Tested]:
        """The whole test split, each row once, in its order."""

    @abstractmethod
    def sample(self, count: int) -> Sample:
        """Rows from all over the test split.

        Args:
            count: How many; all of them where the split has fewer.
        """

    def golden_request(self, sample: Sample) -> Arrays:
        """A small request of the sample."""
        return sample.at(np.arange(min(2, len(sample.rows)))).request

    scores_loss: bool = True
    """Whether the loss of the test can be told from the package's answers."""

    def metrics(self) -> MetricCollection:
        """The metrics of the test, as far as they can be told from the package's answers."""
        return self.module.configure_metrics()

    def derived_metrics(self, values: Mapping[str, float]) -> Mapping[str, float]:  # noqa: ARG002
        """Further metrics of the family, lower is better, from those that are known."""
        return {}

    def ask(self, predictor: Predictor, tested: Tested) -> Mapping[str, np.ndarray]:
        """What a package answers to a batch of the walk."""
        answer: Mapping[str, np.ndarray] = predictor.predict(tested.request)
        return answer

    @abstractmethod
    def judge(self, answer: Mapping[str, np.ndarray], tested: Tested) -> Judged:
        """Measures answers to `tested.request`."""


def spread(total: int, count: int) -> np.ndarray:
    """Places all over a range, ascending and different, int64 (min(count, total),)."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


def take(arrays: Arrays, places: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Some rows.

    Args:
        arrays: Rows first.
        places: int64 (K,).
    """
    return {
        name: value[places] if isinstance(value, np.ndarray) else [value[place] for place in places]
        for name, value in arrays.items()
    }


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays that share their memory where they can."""
    return {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}


def as_tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(array))
