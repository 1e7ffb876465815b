"""Evaluation of a predictor on the whole test split, and the difference of its answers to another's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from lightning_app.errors import UsageError
from lightning_app.packaging.export.batches import Sample
from lightning_app.packaging.export.evaluation_table import evaluation_table
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.held_out import HeldOut, HeldOutRows
from lightning_app.packaging.export.parity import TestMetrics
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.relative_difference import largest_magnitude, relative_differences

BATCH_SIZES = (1, 7, 64)


@dataclass(frozen=True)
class PredictorEvaluation:
    """Errors and metrics of a predictor.

    Attributes:
        table: As `evaluation.parquet`: `row`, `error`, slices.
        values: Metrics by name.
        held_out: Rows of the walk with its answers.
    """

    table: pl.DataFrame
    values: dict[str, float]
    held_out: HeldOutRows


@torch.no_grad()
def evaluate_predictor(exporter: Exporter, predictor: Predictor) -> PredictorEvaluation:
    """Measures answers to the test split as the test measures the model's.

    Args:
        exporter: Of the model's family, with the data.
        predictor: The predictor.
    """
    metrics = TestMetrics(exporter.metrics(), with_loss=exporter.scores_loss)
    held_out = HeldOut.of(exporter)
    rows, evaluations = [], []
    for test_batch in exporter.walk():
        answer = exporter.ask(predictor, test_batch)
        if not len(test_batch.rows):
            continue
        evaluation = exporter.evaluate(answer, test_batch)
        metrics.add(evaluation.step)
        held_out.add(test_batch, answer)
        rows.append(test_batch.rows if evaluation.rows is None else evaluation.rows)
        evaluations.append(evaluation)
    if not rows:
        raise UsageError("data: the test split holds nothing to measure on")
    values = metrics.values()
    return PredictorEvaluation(
        table=evaluation_table(rows, evaluations),
        values={**values, **exporter.derived_metrics(values)},
        held_out=held_out.rows(),
    )


@dataclass(frozen=True)
class Distance:
    """Differences of answers, in units of the largest number of each output.

    Attributes:
        to_parent: Largest difference to the parent's answers, over some rows in batches of several sizes.
        among_batches: Largest difference between the variant's own answers to a row in batches of different sizes.
        rows: How many rows.
    """

    to_parent: float
    among_batches: float
    rows: int


def measure_distance(parent: Predictor, variant: Predictor, sample: Sample) -> Distance:
    """Asks both the same rows.

    Args:
        parent: The predictor that the variant was made from.
        variant: The other.
        sample: The rows.
    """
    expected = parent.predict(sample.request)
    names = [spec.name for spec in parent.manifest.outputs if spec.dtype.startswith("float")]
    wanted = {name: _flat([expected[name]]) for name in names}
    units = {name: largest_magnitude(wanted[name], if_zero=1e-9) for name in names}
    first: dict[str, np.ndarray] = {}
    to_parent = among_batches = 0.0
    for size in BATCH_SIZES:
        parts = [
            variant.predict(sample.at(np.arange(start, min(start + size, len(sample.rows)))).request)
            for start in range(0, len(sample.rows), size)
        ]
        for name in names:
            answer = _flat([part[name] for part in parts])
            before = first.setdefault(name, answer)
            to_parent = max(to_parent, float(relative_differences(answer, wanted[name], units[name]).max()))
            among_batches = max(among_batches, float(relative_differences(answer, before, units[name]).max()))
    return Distance(to_parent, among_batches, len(sample.rows))


def _flat(answers: Sequence[np.ndarray | list[np.ndarray]]) -> np.ndarray:
    """All numbers, one after the other; rows may differ in size."""
    return np.concatenate([np.ravel(row) for answer in answers for row in answer])
