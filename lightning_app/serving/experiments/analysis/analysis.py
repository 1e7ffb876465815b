"""Analysis of an experiment: one pass over its predictions in the journal, in bounded memory."""

from collections.abc import Iterator

import numpy as np

from lightning_app.serving.experiments.analysis.journal_rows import RowQuery, journal_rows, num_late, versions_of
from lightning_app.serving.experiments.analysis.notes import notes_of
from lightning_app.serving.experiments.analysis.off_policy.estimates import Choices, fold_of, off_policy
from lightning_app.serving.experiments.analysis.off_policy.target_policy import TargetPolicy
from lightning_app.serving.experiments.analysis.pre_period import PrePeriod
from lightning_app.serving.experiments.analysis.results import Analysis, Cuped, Series
from lightning_app.serving.experiments.analysis.settings import Settings
from lightning_app.serving.experiments.analysis.statistics.effects import last_effects
from lightning_app.serving.experiments.analysis.sums import Sums, judged_rewards
from lightning_app.serving.journal.stores.database import JournalDatabase


def analyse(
    database: JournalDatabase, settings: Settings, *, pre_period: PrePeriod | None, policies: list[TargetPolicy]
) -> Analysis:
    """Analyses an experiment.

    Args:
        database: Database of the journal.
        settings: How.
        pre_period: What keys did before; None without CUPED.
        policies: Policies whose reward is to be estimated.
    """
    sums = Sums(settings, pre_period)
    query = _query(settings)
    for rows in journal_rows(database, query):
        sums.add(rows)
    sums.moments.finish()
    offset = sums.offset or 0.0
    alpha, tightest_at = settings.alpha, settings.tightest_at
    effects, curves = last_effects(sums.moments, settings.arms, offset=offset, alpha=alpha, tightest_at=tightest_at)
    cuped = None
    if pre_period is not None and sums.num_matched:
        adjusted, _ = last_effects(
            sums.moments, settings.arms, offset=offset, alpha=alpha, tightest_at=tightest_at, adjusted=True
        )
        cuped = Cuped(
            source=pre_period.source, keys=sums.num_keys, matched=sums.num_matched, left_out=pre_period.num_left_out,
            effects=adjusted,
        )  # fmt: skip
    estimates = [
        off_policy(
            _choices(database, settings, with_bodies=policy.needs_bodies), policy, settings.arms,
            clip=settings.clip, alpha=alpha,
        )
        for policy in policies
    ]  # fmt: skip
    arms, late = sums.arms(), num_late(database, query)
    return Analysis(
        settings=settings, arms=arms, late=late, sample_ratio=sums.sample_ratio.result(),
        effects=effects, cuped=cuped, guardrails=sums.guardrails(),
        off_policy=[estimate for estimate in estimates if estimate is not None],
        notes=[
            *notes_of(settings, sums, arms, effects, pre_period),
            *_version_notes(versions_of(database, query)),
            *([f"{late:,} requests had their first reward too late: it is not counted"] if late else []),
            *(
                f"policy {policy.name}: nothing can be estimated, fewer than 2 keys have rewards and its columns"
                for policy, estimate in zip(policies, estimates, strict=True)
                if estimate is None
            ),
        ],
        series=Series(
            ends=sums.ends, requests=sums.requests, rewarded=np.diff(sums.moments.requests, axis=0, prepend=0.0),
            rewards=sums.moments.rewards, squares=sums.moments.squares, offset=offset, curves=curves,
        ),
    )  # fmt: skip


def _version_notes(versions: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"{arm} was answered by several versions: "
        + ", ".join(f"{version} ({count:,})" for version, count in counts.items())
        + "; its numbers are those of all of them together"
        for arm, counts in versions.items()
        if len(counts) > 1
    ]


def _query(settings: Settings, *, with_bodies: bool = False) -> RowQuery:
    return RowQuery(
        experiment=settings.experiment, since=settings.begun, key=settings.key,
        within_seconds=settings.within_seconds, with_bodies=with_bodies,
    )  # fmt: skip


def _choices(database: JournalDatabase, settings: Settings, *, with_bodies: bool) -> Iterator[Choices]:
    index = {arm: place for place, arm in enumerate(settings.arms)}
    for rows in journal_rows(database, _query(settings, with_bodies=with_bodies)):
        rewards = judged_rewards(rows, settings)
        kept = np.flatnonzero(np.isfinite(rewards))
        if not len(kept):
            continue
        yield Choices(
            arms=np.array([index[rows.arms[place]] for place in kept], np.int64),
            probabilities=rows.probabilities[kept],
            rewards=rewards[kept],
            keys=rows.keys[kept],
            folds=np.array([fold_of(rows.names[place], int(rows.keys[place])) for place in kept]),
            bodies=[rows.bodies[place] for place in kept] if with_bodies else [],
        )
