"""Measurements of a package before it is written: parity, metrics, errors by row and slice."""

import math
import time
from dataclasses import dataclass
from typing import Any

import polars as pl

from callbacks.live_line import LiveLine
from lightning_app.errors import UsageError
from lightning_app.packaging import Predictor
from lightning_app.packaging.export.batches import Sample
from lightning_app.packaging.export.evaluation_table import evaluation_table
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.held_out import HeldOut, HeldOutRows
from lightning_app.packaging.export.parity import (
    BATCH_SIZES,
    ROWS,
    TEXT_ROWS,
    UNSEEN_SIZES,
    AnswerComparison,
    TestMetrics,
    compare_metrics,
    compare_sizes,
)
from lightning_app.packaging.runtime.text.padded_rows import PaddedLayout


@dataclass(frozen=True)
class Measurements:
    """Results of the test split.

    Attributes:
        table: `evaluation.parquet`.
        metrics: `rows`, `values` and `better` of the manifest's metrics.
        parity: `parity` of the manifest.
        sample: The rows that were asked in batches of every size.
        held_out: Rows of the walk with the package's answers.
    """

    table: pl.DataFrame
    metrics: dict[str, Any]
    parity: dict[str, Any]
    sample: Sample
    held_out: HeldOutRows


def measure(exporter: Exporter, predictor: Predictor) -> Measurements:
    """Walks over the whole test split with checkpoint and package side by side.

    Args:
        exporter: Of the checkpoint.
        predictor: Of the package.

    Raises:
        ParityError: The package answers or scores otherwise than the checkpoint.
    """
    comparison = AnswerComparison(exporter.outputs)
    checkpoint, package = (TestMetrics(exporter.metrics(), with_loss=exporter.scores_loss) for _ in range(2))
    held_out = HeldOut.of(exporter)
    rows, evaluations, num_compared = [], [], 0
    start = time.perf_counter()
    with LiveLine() as line:
        for test_batch in exporter.walk():
            answer = exporter.ask(predictor, test_batch)
            if not len(test_batch.rows):  # the warm-up of all streams, or their padded end
                continue
            comparison.compare(answer, test_batch.answer, test_batch.rows)
            evaluation = exporter.evaluate(answer, test_batch)
            checkpoint.add(test_batch.step)
            package.add(evaluation.step)
            held_out.add(test_batch, answer)
            rows.append(test_batch.rows if evaluation.rows is None else evaluation.rows)
            evaluations.append(evaluation)
            num_compared += len(test_batch.rows)
            if line.is_due(now := time.perf_counter()):
                line.show("export: rows compared with the checkpoint", num_compared, math.inf, seconds=now - start)
    if not rows:
        raise UsageError("data: the test split holds nothing to compare the package with its checkpoint on")
    compare_metrics(checkpoint.values(), package.values())
    sample = exporter.sample(ROWS)
    num_rows = TEXT_ROWS if PaddedLayout.fits(predictor.manifest) else ROWS
    compare_sizes(comparison, sample, predictor.predict, num_rows=num_rows)
    comparison.check_whole_numbers()
    raw_rows = _compare_raw_rows(exporter, predictor)
    table = evaluation_table(rows, evaluations)
    return Measurements(
        table=table,
        metrics={"rows": len(table), **_with_derived(exporter, package)},
        parity={
            "rows": num_compared,
            "rows_of_each_size": min(num_rows, len(sample.rows)),
            "batch_sizes": list(BATCH_SIZES),
            "unseen_sizes": list(UNSEEN_SIZES),
            "max_relative_error": comparison.largest,
            "mismatches": comparison.mismatches,
            **raw_rows,
            "metric": {"checkpoint": checkpoint.values(), "package": package.values()},
        },
        sample=sample,
        held_out=held_out.rows(),
    )


def _compare_raw_rows(exporter: Exporter, predictor: Predictor) -> dict[str, Any]:
    """The entry `raw_rows` of the parity: raw table to package against raw table to data module to checkpoint.

    Raises:
        ParityError: They differ.
    """
    if exporter.raw_input is None:
        return {}
    comparison, num_rows = AnswerComparison(exporter.outputs), 0
    for batch in exporter.raw_batches(predictor):
        comparison.compare(batch.answered, batch.expected, batch.rows)
        num_rows += len(batch.rows)
    if not num_rows:
        raise UsageError(f"export: {type(exporter).__name__}.raw_batches gives no rows to compare raw rows on")
    comparison.check_whole_numbers()
    entry = {"rows": num_rows, "max_relative_error": comparison.largest, "mismatches": comparison.mismatches}
    return {"raw_rows": entry}


def _with_derived(exporter: Exporter, package: TestMetrics) -> dict[str, Any]:
    values, better = package.values(), package.better()
    derived = exporter.derived_metrics(values)
    return {
        "values": {**values, **derived},
        "better": {**{name: better[name] for name in values}, **dict.fromkeys(derived, "lower")},
    }
