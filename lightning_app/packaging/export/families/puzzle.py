"""Puzzles: from the cells that are given to all of them, in one call."""

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from datamodules import SudokuDataModule
from lightning_app.packaging.export.exporter import Exporter, Judged, Sample, Tested, as_arrays, as_tensor, spread
from lightning_app.packaging.format.manifest import TensorSpec
from models import PuzzleSolver, StepOutput


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
    def example(self) -> tuple[Tensor, ...]:
        return (self.module.example_inputs()["puzzle"],)

    @property
    def num_rows(self) -> int:
        """Puzzles of the test."""
        return len(self.data.split("test")[0])

    @override
    def walk(self) -> Iterator[Tested]:
        size = self.data.eval_batch_size
        for start in range(0, self.num_rows, size):
            yield self._tested(np.arange(start, min(start + size, self.num_rows)))

    @override
    def sample(self, count: int) -> Sample:
        tested = self._tested(spread(self.num_rows, count))
        return Sample(tested.rows, tested.request, tested.answer, {"target": tested.batch["solution"].numpy()})

    def _tested(self, places: np.ndarray) -> Tested:
        batch = self.data.dataset("test").__getitems__(places)
        predicted = self.module.predict_step(batch, 0)
        return Tested(
            rows=places,
            request=as_arrays({"puzzle": batch["puzzle"]}),
            answer=as_arrays({name: predicted[name] for name in ("solution", "confidence")}),
            step=self.module.step(batch),
            batch=batch,
        )

    @override
    def judge(self, answer: Mapping[str, np.ndarray], tested: Tested) -> Judged:
        right = as_tensor(answer["solution"]) == tested.batch["solution"]
        claimed = as_tensor(answer["confidence"]) > 0.5
        given = (tested.batch["puzzle"] > 0).sum(dim=1)
        return Judged(
            step=StepOutput(loss=tested.step.loss, predictions=right.unsqueeze(1), targets=claimed, weight=len(right)),
            errors=1.0 - right.all(dim=1).double().numpy(),
            slices={"givens": given.double().numpy()},
        )


class _Solve(nn.Module):
    def __init__(self, module: PuzzleSolver) -> None:
        super().__init__()
        self.module = module

    def forward(self, puzzle: Tensor) -> tuple[Tensor, Tensor]:
        """Solution and confidence."""
        return self.module.solve(puzzle)
