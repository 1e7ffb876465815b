"""ModelFacts: what is known of a version before any outcome: the form of its answers, and its held-out rows."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from lightning_app.drift.answers.answer_form import OUTCOME, AnswerForm, OutputLike, answer_form
from lightning_app.drift.answers.held_out import HeldOutFacts, held_out_facts
from lightning_app.drift.answers.outcomes import read_outcomes
from lightning_app.drift.answers.points import chosen_points, read_points
from lightning_app.drift.reference import Reference
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality.expected.class_model import ClassModel, fit_class_model
from lightning_app.monitoring.quality.expected.error_model import ErrorModel, fit_error_model
from lightning_app.monitoring.quality.metrics.measured import measured_metrics
from lightning_app.monitoring.quality.metrics.sample import Sample
from lightning_app.monitoring.report.structs import MetricEstimate

_QUARTERS = (0.25, 0.5, 0.75)


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What is known of a version.

    Attributes:
        form: What it answers; None if outcomes cannot be compared with it.
        held_out: What its held-out rows say; None without them.
        reference: Metrics of its held-out rows.
        slice_edges: Quarters of columns of numbers on held-out rows.
        answer_model: What says of the request too how good an answer is; None takes the answer alone.
    """

    form: AnswerForm | None
    held_out: HeldOutFacts | None = None
    reference: tuple[MetricEstimate, ...] = ()
    slice_edges: Mapping[str, Sequence[float]] = {}
    answer_model: ErrorModel | ClassModel | None = None


def model_facts(
    outputs: Sequence[OutputLike],
    labels: Sequence[str] | None,
    *,
    reference: Reference | None,
    sample: pl.DataFrame | None,
    settings: QualitySettings,
    slices: Sequence[str] = (),
) -> ModelFacts:
    """Gathers what is known of a version.

    Args:
        outputs: Of the manifest.
        labels: Of the manifest.
        reference: Drift reference of the package.
        sample: Sample of its held-out rows: its metrics are those of the reference, and where the reference has neither
            calibration nor errors, they are taken from the sample.
        settings: How quality is judged.
        slices: Columns of slices.
    """
    form = answer_form(outputs, labels)
    if form is None:
        return ModelFacts(form=None)
    written = None if reference is None else reference.errors or reference.calibration
    held_out = None if written is None else msgspec.convert(written, HeldOutFacts)
    metrics: tuple[MetricEstimate, ...] = ()
    answer_model: ErrorModel | ClassModel | None = None
    if sample is not None and OUTCOME in sample.columns:
        held_out = held_out or held_out_facts(sample, form)
        metrics = _metrics(sample, form, settings)
        if held_out is not None and form.kind == "classes" and (of_class := fit_class_model(sample, form)) is not None:
            answer_model, calibration = of_class
            held_out = replace(held_out, calibration=calibration)
        if held_out is not None and form.kind != "classes" and (of_error := fit_error_model(sample, form)) is not None:
            answer_model, errors = of_error
            held_out = replace(held_out, errors=errors)
    edges = {} if sample is None else {name: _edges(sample[name]) for name in slices if name in sample.columns}
    return ModelFacts(
        form=form, held_out=held_out, reference=metrics, answer_model=answer_model,
        slice_edges={name: values for name, values in edges.items() if values},
    )  # fmt: skip


def _metrics(sample: pl.DataFrame, form: AnswerForm, settings: QualitySettings) -> tuple[MetricEstimate, ...]:
    points = read_points(sample, form)
    outcomes = read_outcomes(sample, points, form)
    points = chosen_points(points, outcomes.known)
    truth = outcomes.numbers if outcomes.classes is None else outcomes.classes
    assert truth is not None
    truth = truth[outcomes.known]
    several = bool(np.bincount(points.rows).max(initial=0) > 1)
    of_points = Sample(weights=np.ones(len(truth)), clusters=points.rows if several else None)
    if not len(truth):
        return ()
    return tuple(measured_metrics(points, truth, of_points, form, settings=settings, alpha=settings.alpha))


def _edges(column: pl.Series) -> list[float]:
    if not column.dtype.is_numeric() or column.drop_nulls().is_empty():
        return []
    return np.unique(np.quantile(column.drop_nulls().to_numpy(), _QUARTERS)).tolist()
