"""Exporter of puzzle solvers: from the cells that are filled in to all of them, in one call."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from datamodules import SudokuDataModule
from lightning_app.packaging.export.batches import Arrays, TestBatch, as_arrays
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.format.manifest import TensorSpec
from models import PuzzleSolver
from models.base import Batch


class PuzzleExporter(Exporter):
    """`PuzzleSolver`, all its supervision steps inside.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family = "recurrent"
    task = "puzzle"
    data_module = SudokuDataModule
    module: PuzzleSolver
    data: SudokuDataModule
    error_name = "share of puzzles that are not solved"
    row_name = "puzzles"
    scores_loss = False  # the package gives digits, not their logits

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        module, unit = self.module, "digit, 0 where the cell is empty"
        return (TensorSpec("puzzle", "int64", ("batch", module.seq_len), unit=unit, num_values=module.vocab_size),)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec("solution", "int64", ("batch", self.module.seq_len), unit="digit"),
            TensorSpec("confidence", "float32", ("batch",), unit="probability that the whole solution is right"),
        )

    @override
    def metrics(self) -> MetricCollection:
        kept = ("exact_accuracy", "cell_accuracy", "q_accuracy")  # those by step are of steps inside the graph
        every = self.module.configure_metrics()
        return MetricCollection({name: every[name] for name in kept}, compute_groups=False)

    @override
    def network(self) -> nn.Module:
        return _Solve(self.module)

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        return as_arrays({"target": test_batch.batch["solution"]})

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return answer["solution"], answer["confidence"]

    @override
    def errors(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        solution, _ = outputs
        return 1.0 - (solution == batch["solution"]).all(dim=1).double()

    @override
    def slices(self, outputs: tuple[Tensor, Tensor], test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {"givens": (test_batch.batch["puzzle"] > 0).sum(dim=1).double().numpy()}


class _Solve(nn.Module):
    def __init__(self, module: PuzzleSolver) -> None:
        super().__init__()
        self.module = module

    def forward(self, puzzle: Tensor) -> tuple[Tensor, Tensor]:
        """Solution and confidence."""
        return self.module.solve(puzzle)
