"""The defaults of an exporter, and what they say of a module that they do not fit."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MetricCollection

from datamodules import BaseDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging import TensorSpec
from lightning_app.packaging.export import Exporter
from lightning_app.packaging.export.find_exporter import exporter_for
from models import BaseModule, StepOutput

Batch = dict[str, Tensor]


class Sums(BaseModule):
    """Sum and difference of two numbers."""

    exporter = f"{__name__}:SumExporter"

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, pair: Tensor) -> Batch:
        first, second = (pair * self.scale).unbind(dim=1)
        return {"difference": first - second, "sum": first + second}

    def step(self, batch: Batch) -> StepOutput:
        return self.evaluate(self(batch["pair"]), batch)

    def evaluate(self, outputs: Batch, batch: Batch) -> StepOutput:
        loss = (outputs["sum"] - batch["wanted"]).abs().mean()
        return StepOutput(loss=loss, predictions=outputs["sum"], targets=batch["wanted"], weight=len(batch["wanted"]))

    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"mae": MeanAbsoluteError()})

    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        return self(batch["pair"])

    def example_inputs(self) -> Batch:
        return {"pair": torch.rand(2, 2)}


class WithoutEvaluate(Sums):
    evaluate = BaseModule.evaluate

    def step(self, batch: Batch) -> StepOutput:
        return Sums.evaluate(self, self(batch["pair"]), batch)


class PredictsATensor(Sums):
    def predict_step(self, batch: Batch, batch_idx: int) -> Any:
        return self(batch["pair"])["sum"]


class WithoutExporterMethods(Sums):
    exporter = "lightning_app.packaging.export:Exporter"


class WithoutTask(Sums):
    exporter = f"{__name__}:TasklessExporter"


class Pairs(BaseDataModule):
    """Two numbers, and their sum."""

    def __init__(self, key: str = "pair") -> None:
        super().__init__(batch_size=4)
        self.key = key

    def dataset(self, split: str) -> Any:
        pairs, key = torch.arange(20.0).view(10, 2), self.key

        class Rows:
            def __len__(self) -> int:
                return len(pairs)

            def __getitems__(self, indices: np.ndarray) -> Batch:
                return {key: pairs[indices], "wanted": pairs[indices].sum(dim=1)}

        return Rows()

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def protocol(self) -> dict[str, Any]:
        return {}


class TasklessExporter(Exporter):
    family = "arithmetic"

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", ("batch",)) for name in ("sum", "difference"))

    def errors(self, outputs: Batch, batch: Batch) -> Tensor:
        return (outputs["sum"] - batch["wanted"]).abs()


class SumExporter(TasklessExporter):
    task = "sum"


class ErrorsOfAllRowsAtOnce(SumExporter):
    def errors(self, outputs: Batch, batch: Batch) -> Tensor:
        return super().errors(outputs, batch).mean()


class ErrorsWithoutNumbers(SumExporter):
    def errors(self, outputs: Batch, batch: Batch) -> Tensor:
        return super().errors(outputs, batch) * torch.tensor([1.0, torch.nan, 1.0, torch.nan])


class WithOneError(Sums):
    exporter = f"{__name__}:ErrorsOfAllRowsAtOnce"


class WithMissingErrors(Sums):
    exporter = f"{__name__}:ErrorsWithoutNumbers"


def test_outputs_of_a_dict_have_the_order_of_the_signature_and_all_rows_are_walked() -> None:
    exporter = exporter_for(Sums().eval(), Pairs())
    (total, difference) = exporter.network()(torch.tensor([[5.0, 3.0]]))
    assert (total.item(), difference.item()) == (8, 2)
    assert exporter.inputs == (TensorSpec("pair", "float32", ("batch", 2)),)
    with torch.no_grad():
        batches = list(exporter.walk())
        assert np.concatenate([batch.rows for batch in batches]).tolist() == list(range(10))
        evaluation = exporter.evaluate({**batches[0].answer, "sum": batches[0].answer["sum"] + 1}, batches[0])
        assert evaluation.errors.tolist() == [1, 1, 1, 1]
        assert evaluation.step.loss == 1
        assert exporter.sample(3).rows.tolist() == [0, 4, 9]
        assert exporter.sample(3).targets["target"].tolist() == [1, 17, 37]


@pytest.mark.parametrize(
    ("module", "data", "reason"),
    [
        (Sums, Pairs("two"), "a batch of the data module gives two, wanted, pair is needed"),
        (PredictsATensor, Pairs(), "PredictsATensor.predict_step gives Tensor, sum, difference is needed"),
        (WithoutEvaluate, Pairs(), r"WithoutEvaluate defines no evaluate\(outputs, batch\)"),
        (WithoutExporterMethods, Pairs(), "Exporter lacks errors, outputs, which an exporter has"),
        (WithoutTask, Pairs(), "TasklessExporter says no task"),
        (
            WithOneError,
            Pairs(),
            r"ErrorsOfAllRowsAtOnce.errors gives a tensor of shape \(\), one error",
        ),
        (WithMissingErrors, Pairs(), "ErrorsWithoutNumbers.errors gives NaN for 2 rows"),
    ],
)
def test_what_a_module_or_exporter_lacks_is_named(module: type[BaseModule], data: Pairs, reason: str) -> None:
    def export() -> None:
        exporter = exporter_for(module().eval(), data)  # type: ignore[call-arg]
        for batch in exporter.walk():
            exporter.evaluate(batch.answer, batch)

    with torch.no_grad(), pytest.raises((UsageError, ValueError), match=reason):
        export()
