"""LabelledRows: answered rows of a version with the outcomes that have come, joined by request and row."""

from collections import Counter
from typing import TypeAlias

import numpy as np
import polars as pl
from msgspec import Struct

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.flat import Array, Integers, flat, numbers_of
from lightning_app.drift.answers.held_out import point_errors
from lightning_app.drift.answers.outcomes import Outcomes, read_outcomes
from lightning_app.drift.answers.points import Points, read_points
from lightning_app.monitoring.quality.delays import DelayRows
from lightning_app.monitoring.quality.expected.class_model import ClassModel
from lightning_app.monitoring.quality.expected.error_model import ErrorModel
from lightning_app.serving.journal.export.rows import META, OUTCOME, OUTCOME_TIME, REWARD

AnswerModel: TypeAlias = ErrorModel | ClassModel


class LabelledRows(Struct, kw_only=True):
    """Answered rows.

    Attributes:
        form: What is answered; None if outcomes cannot be compared with it.
        table: The rows, without those that a fallback answered.
        ages: Seconds since the request, (N,).
        rewards: Reward of each row; nan without one, (N,).
        clusters: Number of the entity of each row, or else of its request, int64 (N,).
        points: Their answers; None without a form.
        outcomes: True values of the points; None without a form.
        delays: Delays of the rows.
        anomalies: Rows by what is wrong with them.
    """

    form: AnswerForm | None
    table: pl.DataFrame
    ages: Array
    rewards: Array
    clusters: Integers
    points: Points | None
    outcomes: Outcomes | None
    delays: DelayRows
    anomalies: dict[str, int]

    def __len__(self) -> int:
        return len(self.ages)


def labelled_rows(
    table: pl.DataFrame, form: AnswerForm | None, *, now: float, within: float, answer_model: AnswerModel | None = None
) -> LabelledRows:
    """Joins answers and outcomes.

    An outcome that came before its request has a delay of 0. A row with several points is labelled once all their
    outcomes are known, or those that are once it is older than `within`.

    Args:
        table: Rows of one version, as `lightning_app.monitoring.windows` reads them.
        form: What is answered; None if outcomes cannot be compared with it.
        now: Unix seconds.
        within: Age after which no outcome is waited for, seconds.
        answer_model: What says of the request too how good an answer is.

    Raises:
        ValueError: The table has no column of the answer.
    """
    anomalies = Counter[str]()
    by_fallback = table[META + "degraded"].is_not_null()
    if by_fallback.any():
        anomalies["answered by a fallback, left out"] = int(by_fallback.sum())
        table = table.filter(~by_fallback)
    times = _seconds(table[META + "time"])
    ages = ages_of(table, now=now)
    if early := int((times > now).sum()):
        anomalies["of a time that has not come: a clock was wrong"] = early
    arrived = _seconds(table[OUTCOME_TIME]) if OUTCOME_TIME in table.columns else np.full(len(table), np.nan)
    delays = arrived - times
    if early := int((delays < 0).sum()):
        anomalies["with an outcome before the request: a clock was wrong; taken as no delay"] = early
    points = outcomes = None
    rewards = _rewards(table)
    is_known, values, errors = np.isfinite(rewards), rewards, np.zeros(len(rewards))
    if form is not None:
        points = read_points(table, form)
        if answer_model is not None and (form.kind != "classes" or points.probabilities is not None):
            points.conditions = answer_model.conditions(table, points)
        outcomes = read_outcomes(table, points, form, column=OUTCOME)
        for reason, count in outcomes.misfits.items():
            anomalies[f"with an outcome that does not fit: {reason}"] = count
        if missing := len(table) - int(np.count_nonzero(np.bincount(points.rows[points.readable]))):
            anomalies["without a readable answer"] = missing
        known = np.bincount(points.rows[outcomes.known], minlength=len(table))
        is_full = known == np.maximum(points.counts, 1)
        if partly := int(((known > 0) & ~is_full & (ages < within)).sum()):
            anomalies["with outcomes of some steps only, waited for"] = partly
        of_outcomes = is_full | ((known > 0) & (ages >= within))
        if of_outcomes.any():
            is_known = of_outcomes
            values, errors = _of_rows(points, outcomes, form, len(table))
    return LabelledRows(
        form=form, table=table, ages=ages, rewards=rewards, points=points, outcomes=outcomes,
        clusters=_clusters(table), anomalies=dict(anomalies),
        delays=DelayRows(
            ages=ages, delays=np.where(is_known, np.maximum(delays, 0.0), np.nan),
            values=np.where(is_known, values, np.nan), errors=np.where(is_known, errors, np.nan),
        ),
    )  # fmt: skip


def ages_of(table: pl.DataFrame, *, now: float) -> Array:
    """Seconds since the request of each row, (N,); 0 of those of the future.

    Args:
        table: The rows.
        now: Unix seconds.
    """
    return np.maximum(now - _seconds(table[META + "time"]), 0.0)


def _of_rows(points: Points, outcomes: Outcomes, form: AnswerForm, num_rows: int) -> tuple[Array, Array]:
    """Mean true value of each row, and mean error of its answer: delays depend on both."""
    known = outcomes.known
    rows = points.rows[known]
    if outcomes.classes is not None:
        assert points.classes is not None
        values = outcomes.classes[known].astype(float)
        errors = (points.classes != outcomes.classes)[known].astype(float)
    else:
        assert outcomes.numbers is not None
        values = outcomes.numbers[known]
        errors = point_errors(points, outcomes.numbers, form)["absolute"][known]
    counts = np.maximum(np.bincount(rows, minlength=num_rows), 1)
    return np.bincount(rows, values, num_rows) / counts, np.bincount(rows, errors, num_rows) / counts


def _rewards(table: pl.DataFrame) -> Array:
    """Mean reward of each row: of one with lists, of those that are known."""
    rewards = np.full(len(table), np.nan)
    if REWARD in table.columns:
        given = flat(table[REWARD])
        values = numbers_of(given.values)
        rows, values = given.rows[np.isfinite(values)], values[np.isfinite(values)]
        counts = np.bincount(rows, minlength=len(table))
        rewards = np.where(counts > 0, np.bincount(rows, values, len(table)) / np.maximum(counts, 1), np.nan)
    return rewards


def _clusters(table: pl.DataFrame) -> Integers:
    requests = table[META + "request_id"]
    if META + "entity" in table.columns and table[META + "entity"].dtype == pl.String:
        entities = table[META + "entity"]
        requests = pl.select(
            pl.when(entities.is_not_null()).then("e:" + entities).otherwise("r:" + requests)
        ).to_series()
    return requests.hash().rank("dense").cast(pl.Int64).to_numpy() - 1


def _seconds(times: pl.Series) -> Array:
    if not times.dtype.is_temporal():
        return numbers_of(times)
    return times.dt.timestamp("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6
