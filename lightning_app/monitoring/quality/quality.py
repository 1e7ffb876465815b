"""Quality of a version in a window: metrics of the outcomes that have come, and what is expected of the others."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.drift.answers.flat import Array, Booleans, Integers
from lightning_app.drift.answers.points import Points, chosen_points
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality.delays import DelayModel, DelayRows, delay_model, labelled
from lightning_app.monitoring.quality.estimated import estimate_error, estimated_metrics
from lightning_app.monitoring.quality.labelled_rows import LabelledRows, labelled_rows
from lightning_app.monitoring.quality.metrics.measured import mean_reward, measured_metrics, metric_order
from lightning_app.monitoring.quality.metrics.sample import Sample
from lightning_app.monitoring.quality.model_facts import ModelFacts
from lightning_app.monitoring.quality.reliability import FEWEST, calibration_test, outcome_test
from lightning_app.monitoring.quality.slices import slices_of
from lightning_app.monitoring.quality.words import delay_notes, row_notes, trust_note
from lightning_app.monitoring.report.structs import MetricEstimate, OutcomeTest, QualityResult, Window
from lightning_app.serving.journal.export.rows import META

_MATURE = 0.9
"""Share of the rows of a window that must be old enough to be judged, for its metrics to be compared with others."""


def quality_results(
    table: pl.DataFrame,
    *,
    version: str,
    facts: ModelFacts,
    settings: QualitySettings,
    window: Window,
    now: float,
    delays: DelayModel | None = None,
    slices: Sequence[str] = (),
    by_arm: bool = True,
) -> list[QualityResult]:
    """Quality of a version in a window: of all rows, then by arm if there are several, then by slice.

    Args:
        table: Answered rows of the version, as `lightning_app.monitoring.windows` reads them.
        version: Label of the version.
        facts: What is known of the version.
        settings: How quality is judged.
        window: Rows that are judged, by the time of their requests.
        now: Unix seconds.
        delays: How long outcomes take, of `delays_of`; None estimates it from the rows of the table, also those before
            the window.
        slices: Columns by whose values quality is judged too.
        by_arm: Whether quality is judged by arm too.

    Raises:
        ValueError: The table has no column of the answer.
    """
    within = seconds(settings.outcome_within)
    if delays is None:
        delays = delays_of([(table, facts)], settings=settings, now=now)
    times = table[META + "time"].dt.timestamp("us") / 1e6
    rows = labelled_rows(table.filter((times >= window.since) & (times < window.until)), facts.form, now=now,
                         within=within, answer_model=facts.answer_model)  # fmt: skip
    judge = _Judge(rows=rows, delays=delays, facts=facts, settings=settings, window=window, version=version)
    everything = np.ones(len(rows), dtype=bool)
    results = [judge.result(everything, notes=[*row_notes(rows, settings, facts), *delay_notes(delays, settings)])]
    groups: list[tuple[str | None, str | None, Booleans]] = []
    notes: list[str] = []
    arms = rows.table[META + "arm"]
    if by_arm and arms.n_unique() > 1:
        groups += [(str(arm), None, (arms == arm).to_numpy()) for arm in arms.drop_nulls().unique().sort()]
    if slices and len(rows):
        found, notes = slices_of(rows.table, slices, edges=facts.slice_edges)
        groups += [(None, one.name, one.chosen) for one in found]
    if notes:
        results[0] = replace(results[0], notes=(*results[0].notes, *notes))
    for arm, slice_, chosen in groups:
        if chosen.sum() < settings.minimum_rows:
            continue
        results.append(judge.result(chosen, arm=arm, slice_=slice_, tests=len(groups)))
    return results


def delays_of(parts: Sequence[tuple[pl.DataFrame, ModelFacts]], *, settings: QualitySettings, now: float) -> DelayModel:
    """How long the outcomes of a model take, from the rows of all its versions.

    Args:
        parts: Rows of each version, with what is known of it; the more of the past, the better.
        settings: How quality is judged.
        now: Unix seconds.
    """
    within = seconds(settings.outcome_within)
    rows = [labelled_rows(table, facts.form, now=now, within=within).delays for table, facts in parts if table.width]
    return delay_model(rows, within=within)


class _Judge(Struct, kw_only=True):
    rows: LabelledRows
    delays: DelayModel
    facts: ModelFacts
    settings: QualitySettings
    window: Window
    version: str

    def result(
        self,
        chosen: Booleans,
        *,
        arm: str | None = None,
        slice_: str | None = None,
        tests: int = 1,
        notes: Sequence[str] = (),
    ) -> QualityResult:
        """Quality of some rows.

        Args:
            chosen: Which rows.
            arm: Their arm; None for all.
            slice_: Their slice; None for all.
            tests: Groups that are judged: their intervals hold together.
            notes: What is known of them already.
        """
        rows, alpha = self.rows, self.settings.alpha / tests
        is_whole = arm is None and slice_ is None
        known = labelled(rows.delays, self.delays.within) & chosen
        young = (rows.ages < self.delays.within) & chosen
        too_young = (rows.ages < self.delays.least_age) & chosen
        weights = np.where(chosen, self.delays.weights(rows.delays), 0.0)
        total = int(chosen.sum())
        metrics: list[MetricEstimate] = []
        estimated: list[MetricEstimate] = []
        outcome_tests: list[OutcomeTest] = []
        error, found_notes = None, list(notes)
        points, outcomes, form = rows.points, rows.outcomes, rows.form
        if points is not None and outcomes is not None and form is not None:
            of_points = outcomes.known & (weights[points.rows] > 0)
            if of_points.any():
                labelled_points = chosen_points(points, of_points)
                truth = outcomes.numbers if outcomes.classes is None else outcomes.classes
                assert truth is not None
                truth = truth[of_points]
                sample = self._sample(labelled_points, weights)
                metrics += measured_metrics(
                    labelled_points, truth, sample, form, settings=self.settings, alpha=alpha, by_class=is_whole
                )
                if self.facts.held_out is not None and metrics and len(truth) >= FEWEST:
                    far = estimate_error(
                        labelled_points, truth, metrics[0], sample, self.facts.held_out, form, alpha=alpha
                    )
                    error = None if far is None else far.error
                    found_notes += [] if far is None else trust_note(far)
                    if is_whole:
                        outcome_tests = self._tests(labelled_points, truth, sample)
            readable = points.readable & chosen[points.rows]
            if self.facts.held_out is not None and readable.any():
                answered = chosen_points(points, readable)
                estimated, doubts = estimated_metrics(
                    answered, self._sample(answered, None), self.facts.held_out, form, settings=self.settings,
                    alpha=alpha, by_class=is_whole,
                )  # fmt: skip
                found_notes += doubts if is_whole else []
        rewarded = np.isfinite(rows.rewards) & (weights > 0)
        names, unknown = metric_order(form, self.settings.metrics)
        if rewarded.any() and "reward" in names:
            sample = Sample(
                weights=weights[rewarded], clusters=rows.clusters[rewarded],
                delay_noise=self.delays.noise(rows.delays, weights, np.flatnonzero(rewarded)),
            )  # fmt: skip
            metrics.append(mean_reward(rows.rewards[rewarded], sample, settings=self.settings, alpha=alpha))
        if any(one.value is not None and one.low is None for one in metrics):
            found_notes.append(
                "no interval: most of the outcomes are of one request or entity, whose rows count as one observation"
            )
        if is_whole and unknown:
            found_notes.append(f"metrics: {', '.join(unknown)}: the task does not have them")
        is_mature = total > 0 and int(too_young.sum()) <= (1 - _MATURE) * total
        if total and not is_mature:
            found_notes.append(
                f"immature: {int(too_young.sum()):,} of {total:,} rows are too young to be judged; not to be compared "
                "with other windows yet"
            )
        return QualityResult(
            version=self.version, window=self.window, arm=arm, slice=slice_, rows=total, labelled=int(known.sum()),
            waiting=int((young & ~known).sum()), overdue=int((chosen & ~young & ~known).sum()), is_mature=is_mature,
            metrics=tuple(metrics), estimated=tuple(estimated), estimate_error=error,
            reference=self.facts.reference if is_whole else (), tests=tuple(outcome_tests), notes=tuple(found_notes),
        )  # fmt: skip

    def _sample(self, points: Points, weights: Array | None) -> Sample:
        """Weights and clusters of points; those of labelled rows with what is not known of their weights."""
        clusters: Integers | None = self.rows.clusters[points.rows]
        assert clusters is not None
        if np.bincount(clusters).max() == 1:
            clusters = None
        if weights is None:
            return Sample(weights=np.ones(len(points.rows)), clusters=clusters)
        delays: DelayRows = self.rows.delays
        return Sample(
            weights=weights[points.rows], clusters=clusters,
            delay_noise=self.delays.noise(delays, weights, points.rows),
        )  # fmt: skip

    def _tests(self, points: Points, truth: Array | Integers, sample: Sample) -> list[OutcomeTest]:
        held_out, form = self.facts.held_out, self.rows.form
        assert held_out is not None
        assert form is not None
        both = (calibration_test(points, truth, sample, held_out, form), outcome_test(truth, sample, held_out))
        return [one for one in both if one is not None]
