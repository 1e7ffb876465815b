"""Linear models have the solution of scikit-learn, dense and sparse; the majority row answers frequencies and means."""

from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.linear import LinearModel, MajorityRow
from models.tasks import BinaryClassification, Counts, MulticlassClassification, Regression, TabularTask

ROWS = 300


class Rows:
    """Dataset of whole tables."""

    def __init__(self, arrays: dict[str, Tensor]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays["target"])

    def __getitems__(self, indices: Any) -> dict[str, Tensor]:
        return {name: values[torch.as_tensor(np.asarray(indices))] for name, values in self.arrays.items()}


class Table(LightningDataModule):
    """Random rows whose target depends on numbers, a category and vectors."""

    batch_size = 32

    def __init__(self, task: TabularTask, *, sparse: bool = False) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        numbers = rng.normal(size=(ROWS, 3))
        categories = rng.integers(2, 6, size=(ROWS, 1))
        vectors = rng.random((ROWS, 12)) * (rng.random((ROWS, 12)) < (0.1 if sparse else 1.0))
        signal = numbers @ [1.0, -0.5, 0.0] + 0.7 * (categories[:, 0] == 3) + vectors @ rng.normal(size=12)
        signal = signal - signal.mean() + rng.normal(size=ROWS)
        if task.num_classes:
            target = np.digitize(signal, [0.0] if task.num_classes == 2 else [-0.5, 0.5])
        else:
            target = rng.poisson(np.exp(signal / 4)) if isinstance(task, Counts) else signal
        self.num_classes = task.num_classes
        self.arrays = {
            "numbers": torch.from_numpy(numbers).float(),
            "categories": torch.from_numpy(categories),
            "vectors": torch.from_numpy(vectors).float(),
            "target": torch.from_numpy(target) if task.num_classes else torch.from_numpy(target).float(),
        }
        mean, std = self.arrays["target"].double().mean().float(), self.arrays["target"].double().std().float()
        self.statistics = {
            "mean": torch.zeros(3), "std": torch.ones(3), "may_miss": torch.zeros(3),
            "digest": torch.ones(32, dtype=torch.uint8), "target_mean": mean, "target_std": std,
        }  # fmt: skip

    def dataset(self, split: str) -> Rows:
        return Rows(self.arrays)

    def train_dataloader(self) -> DataLoader[Any]:
        return self.val_dataloader()

    def val_dataloader(self) -> DataLoader[Any]:
        rows: Any = self.dataset("val")
        return DataLoader(rows, batch_size=50, collate_fn=lambda batch: batch)


def fit(model: LinearModel | MajorityRow, data: Table) -> Trainer:
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    return trainer


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", ["logistic", "softmax", "ridge", "poisson"])
def test_the_solution_is_that_of_scikit_learn(name: str, sparse: bool) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    task: TabularTask = {
        "logistic": BinaryClassification(),
        "softmax": MulticlassClassification(num_classes=3),
        "ridge": Regression(),
        "poisson": Counts(),
    }[name]
    model = LinearModel(task=task, penalties=[2.0], num_numbers=3, cardinalities=[6], vector_size=12)
    data = Table(task, sparse=sparse)
    trainer = fit(model, data)
    arrays = {key: values.double().numpy() for key, values in data.arrays.items()}
    design = np.column_stack([arrays["numbers"], np.eye(6)[data.arrays["categories"][:, 0]], arrays["vectors"]])
    if task.num_classes:
        other = linear.LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(design, arrays["target"])
        expected = other.predict_proba(design)
    elif name == "ridge":
        scaled = (arrays["target"] - float(data.statistics["target_mean"])) / float(data.statistics["target_std"])
        # The mean squared error has no 1/2: a penalty p/2 |w|^2 beside the sum of squares is a ridge of p/2.
        expected = linear.Ridge(alpha=1.0).fit(design, scaled).predict(design) * float(
            data.statistics["target_std"]
        ) + float(data.statistics["target_mean"])
    else:
        expected = (
            linear.PoissonRegressor(alpha=2.0 / ROWS, tol=1e-10, max_iter=5000)
            .fit(design, arrays["target"])
            .predict(design)
        )
    batch = data.dataset("val").__getitems__(np.arange(ROWS))
    with torch.no_grad():
        answered = model.eval().predict_step({**batch, "row": torch.arange(ROWS)}, 0)[task.answer]
    np.testing.assert_allclose(answered, expected, rtol=2e-4, atol=2e-4)
    assert model.chosen["penalty"] == 2.0
    assert float(trainer.callback_metrics["val/loss"]) > 0


def test_the_penalty_with_the_lowest_validation_loss_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    task = Regression()
    model = LinearModel(task=task, penalties=[1e6, 1.0, 1e3], num_numbers=3, cardinalities=[6], vector_size=12)
    fit(model, Table(task))
    assert model.penalties == (1e6, 1e3, 1.0)
    assert model.chosen["penalty"] == 1.0
    assert "is at the end of model.penalties" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (BinaryClassification(), lambda target: np.bincount(target) / len(target)),
        (MulticlassClassification(num_classes=3), lambda target: np.bincount(target) / len(target)),
        (Regression(), np.mean),
        (Regression(loss=nn.L1Loss()), np.median),
        (Counts(), np.mean),
    ],
    ids=["binary", "multiclass", "mean", "median", "counts"],
)
def test_the_majority_row_answers_frequencies_and_means(task: TabularTask, answer: Any) -> None:
    data = Table(task)
    model = MajorityRow(task=task, num_numbers=3, cardinalities=[6], vector_size=12)
    fit(model, data)
    batch = {**data.dataset("val").__getitems__(np.arange(4)), "row": torch.arange(4)}
    answered = model.predict_step(batch, 0)[task.answer]
    expected = answer(data.arrays["target"].numpy())
    np.testing.assert_allclose(answered, np.broadcast_to(expected, answered.shape), rtol=2e-2)


def test_penalties_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers above 0 are needed"):
        LinearModel(task=Regression(), penalties=[0.0], num_numbers=1)
