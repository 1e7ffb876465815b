"""MajorityRow: the same answer for every row, which every model has to beat."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch
from models.tabular.whole_table_module import WholeTableModule
from models.tasks import BinaryClassification, Counts, MulticlassClassification, Regression, TabularTask


class ConstantNetwork(nn.Module):
    """The same outputs for every row, (output_size,).

    Args:
        output_size: Outputs per row.
    """

    outputs: Tensor

    def __init__(self, *, output_size: int) -> None:
        super().__init__()
        self.register_buffer("outputs", torch.zeros(output_size))

    @override
    def forward(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Outputs of each row, (B, output_size); arguments as of `MLP.forward`, of which only the rows count."""
        (rows, *_) = (part for part in (numbers, categories, vectors) if part is not None)
        return self.outputs.expand(rows.shape[0], -1)


class MajorityRow(WholeTableModule):
    """Answers the frequencies of the classes, the mean (of a regression with the absolute or Huber loss the median).

    Args:
        task: Meaning of the outputs: two or more classes, a number or a count.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
    """

    network: ConstantNetwork

    def __init__(
        self,
        *,
        task: TabularTask,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
    ) -> None:
        if not isinstance(task, BinaryClassification | MulticlassClassification | Regression | Counts):
            raise ValueError(
                f"model.task: {type(task).__name__} given, MajorityRow answers one class or number per row"
            )
        super().__init__(
            network=ConstantNetwork(output_size=task.output_size),
            task=task,
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            vector_size=vector_size,
        )

    @property
    @override
    def num_fitted(self) -> int:
        return len(self.network.outputs)

    @override
    def fit_table(self, train: Batch, val: Batch) -> None:
        targets = train["target"]
        if self.num_classes:
            counts = torch.bincount(targets, minlength=self.num_classes).double()
            weights = getattr(self.task, "class_weights", None)
            counts = counts if weights is None else counts * weights
            answer = (counts / counts.sum()).float()[None]
        else:
            robust = isinstance(getattr(self.task, "criterion", None), nn.L1Loss | nn.HuberLoss)
            answer = (targets.double().quantile(0.5).float() if robust else targets.double().mean().float())[None]
        self.network.outputs.copy_(self.task.outputs_of(answer)[0])
