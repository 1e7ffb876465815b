"""Analysis of an experiment: one pass over its predictions in the journal, in bounded memory."""

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.effects import FEWEST_KEYS, Curve, Effect, last_effects
from lightning_app.serving.experiments.analysis.guardrails import (
    BOUNDS_MS,
    Guardrail,
    classed,
    latency_quantiles,
    rates_p_value,
)
from lightning_app.serving.experiments.analysis.journal_rows import RowQuery, Rows, journal_rows, num_late
from lightning_app.serving.experiments.analysis.moments import Moments, Observations
from lightning_app.serving.experiments.analysis.off_policy import Choices, OffPolicy, fold_of, off_policy
from lightning_app.serving.experiments.analysis.pre_period import PrePeriod, values_before
from lightning_app.serving.experiments.analysis.sample_ratio import SampleRatio, SampleRatioBuilder
from lightning_app.serving.experiments.analysis.settings import Settings
from lightning_app.serving.experiments.analysis.target_policy import TargetPolicy
from lightning_app.serving.journal.stores.database import JournalDatabase

Array = NDArray[np.float64]


class ArmRewards(Struct, frozen=True, kw_only=True):
    """Requests and rewards of an arm.

    Attributes:
        arm: The arm.
        requests: Requests that it was chosen for.
        rows: Their rows.
        degraded: Requests that another answered; their rewards count for the arm that was chosen.
        waiting: Requests that are too young to be judged.
        unrewarded: Judged requests without a reward.
        rewarded: Judged requests with one; a request with several rows has the mean of their rewards.
        mean: Mean reward; None without any.
        deviation: Standard deviation of the rewards.
    """

    arm: str
    requests: int
    rows: int
    degraded: int
    waiting: int
    unrewarded: int
    rewarded: int
    mean: float | None
    deviation: float | None


class Cuped(Struct, frozen=True, kw_only=True):
    """Effects with what the pre-period explains subtracted.

    Attributes:
        source: Where the values of the pre-period are from.
        keys: Keys with a reward.
        matched: Keys that have a value in the pre-period; the others count with the mean.
        left_out: Rows of the file without a number.
        effects: The effects.
    """

    source: str
    keys: int
    matched: int
    left_out: int
    effects: list[Effect]


class Series(Struct, frozen=True, kw_only=True):
    """What is drawn over time.

    Attributes:
        ends: Time of each look, Unix seconds, (L,).
        requests: Requests by look and arm, not cumulative, (L, A).
        rewarded: Rewarded ones, not cumulative, (L, A).
        rewards: Sums of rewards, (L, A).
        squares: Sums of squares of rewards, (L, A).
        curves: Effect by arm.
    """

    ends: Array
    requests: Array
    rewarded: Array
    rewards: Array
    squares: Array
    curves: dict[str, Curve]


class Analysis(Struct, frozen=True, kw_only=True):
    """Result of an analysis.

    Attributes:
        settings: How it was analysed.
        arms: Requests and rewards by arm, control first.
        late: Requests whose rewards all came too late.
        sample_ratio: Tests of the assignment.
        effects: Effects against the control.
        cuped: The same with the pre-period; None without.
        guardrails: Latency, failures and degraded answers by arm, as predictions tell.
        off_policy: Estimates for policies that were not run.
        notes: What was left out, and what has to be kept in mind.
        series: What is drawn over time.
    """

    settings: Settings
    arms: list[ArmRewards]
    late: int
    sample_ratio: SampleRatio
    effects: list[Effect]
    cuped: Cuped | None
    guardrails: list[Guardrail]
    off_policy: list[OffPolicy]
    notes: list[str]
    series: Series


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
    sums = _Sums(settings, pre_period)
    query = _query(settings)
    for rows in journal_rows(database, query):
        sums.add(rows)
    sums.moments.finish()
    control = 0
    effects, curves = last_effects(
        sums.moments, settings.arms, control, alpha=settings.alpha, tightest_at=settings.tightest_at
    )
    cuped = None
    if pre_period is not None and sums.num_matched:
        adjusted, _ = last_effects(
            sums.moments, settings.arms, control, alpha=settings.alpha, tightest_at=settings.tightest_at, adjusted=True
        )
        cuped = Cuped(
            source=pre_period.source, keys=sums.num_keys, matched=sums.num_matched, left_out=pre_period.num_left_out,
            effects=adjusted,
        )  # fmt: skip
    estimates = [
        off_policy(
            lambda policy=policy: _choices(database, settings, with_bodies=policy.needs_bodies), policy,
            settings.arms, clip=settings.clip, alpha=settings.alpha,
        )
        for policy in policies
    ]  # fmt: skip
    arms = sums.arms()
    return Analysis(
        settings=settings, arms=arms, late=num_late(database, query), sample_ratio=sums.sample_ratio.result(),
        effects=effects, cuped=cuped, guardrails=sums.guardrails(),
        off_policy=[estimate for estimate in estimates if estimate is not None],
        notes=_notes(settings, sums, arms, effects, pre_period),
        series=Series(
            ends=sums.ends, requests=sums.requests, rewarded=np.diff(sums.moments.requests, axis=0, prepend=0.0),
            rewards=sums.moments.rewards, squares=sums.moments.squares, curves=curves,
        ),
    )  # fmt: skip


class _Sums:
    """What one pass over the predictions adds up."""

    def __init__(self, settings: Settings, pre_period: PrePeriod | None) -> None:
        num_arms, num_looks = len(settings.arms), settings.num_looks
        self._settings, self._pre_period = settings, pre_period
        self._mean_before = float(np.mean(list(pre_period.values.values()))) if pre_period and pre_period.values else 0.0
        self._index = {arm: place for place, arm in enumerate(settings.arms)}
        width = max(settings.now - settings.begun, 1e-6) / num_looks
        self.ends = settings.begun + width * np.arange(1, num_looks + 1)
        self.moments = Moments(num_arms=num_arms, num_looks=num_looks)
        self.sample_ratio = SampleRatioBuilder(settings.arms, num_looks=num_looks)
        self.requests = np.zeros((num_looks, num_arms))
        self._rows, self._degraded, self._waiting, self._unrewarded = (np.zeros(num_arms, np.int64) for _ in range(4))
        self._latencies = np.zeros((num_arms, len(BOUNDS_MS) + 1))
        self.num_certain = self.num_keys = self.num_matched = self.several_rows = self.without_entity = 0
        self.offset: float | None = None

    def add(self, rows: Rows) -> None:
        settings = self._settings
        num_looks, num_arms = self.requests.shape
        arms = np.array([self._index[arm] for arm in rows.arms], np.int64)
        looks = np.clip(np.searchsorted(self.ends, rows.times), 0, num_looks - 1)
        is_first = np.diff(rows.keys, prepend=rows.keys[0] - 1) != 0
        if settings.is_clustered:
            # Times within a key may fall back a little: a request that arrived first may be written later.
            looks = _rising(looks, rows.keys)
        self.sample_ratio.add(looks[is_first], arms[is_first], rows.probabilities[is_first])
        self.requests += np.bincount(looks * num_arms + arms, minlength=num_looks * num_arms).reshape(-1, num_arms)
        self._rows += np.bincount(arms, rows.num_rows, num_arms).astype(np.int64)
        self._degraded += np.bincount(arms, rows.degraded, num_arms).astype(np.int64)
        for arm in range(num_arms):
            self._latencies[arm] += classed(rows.latencies[(arms == arm) & ~rows.degraded])
        self.several_rows += int((rows.num_rows > 1).sum())
        self.without_entity += sum(entity is None for entity in rows.entities)
        judged = rows.times <= settings.now - settings.within_seconds if np.isfinite(settings.within_seconds) else (
            np.ones(len(arms), bool)
        )  # fmt: skip
        rewarded = judged & np.isfinite(rows.rewards)
        self._waiting += np.bincount(arms[~judged], minlength=num_arms)
        self._unrewarded += np.bincount(arms[judged & ~rewarded], minlength=num_arms)
        certain = rows.probabilities >= 1
        self.num_certain += int((rewarded & certain).sum())
        self._observe(rows, arms, looks, rewarded & ~certain)

    def _observe(self, rows: Rows, arms: NDArray[np.int64], looks: NDArray[np.int64], kept: NDArray[np.bool_]) -> None:
        if not kept.any():
            return
        rewards, probabilities, keys = rows.rewards[kept], rows.probabilities[kept], rows.keys[kept]
        if self.offset is None:
            # Near 0, so that sums of squares do not cancel; differences do not depend on it.
            self.offset = float(rewards.mean())
        before = np.zeros(len(rewards))
        entities = [entity for entity, keep in zip(rows.entities, kept, strict=True) if keep]
        if self._pre_period is not None:
            before, matched = values_before(entities, self._pre_period.values, self._mean_before)
            self.num_matched += len(matched)
        self.num_keys += int((np.diff(keys, prepend=keys[0] - 1) != 0).sum())
        # With two arms, weights p (1 - p) / p: periods count by how much they tell, however small a share was.
        weights = 4 * (1 - probabilities) if len(self._settings.arms) == 2 else 1 / probabilities
        self.moments.add(
            Observations(
                looks=looks[kept], arms=arms[kept], weights=weights, rewards=rewards - self.offset, before=before,
                keys=keys,
            ),
            keys_are_requests=not self._settings.is_clustered,
        )  # fmt: skip

    def arms(self) -> list[ArmRewards]:
        counts, sums, squares = self.moments.requests[-1], self.moments.rewards.sum(axis=0), self.moments.squares.sum(axis=0)
        found = []
        for place, arm in enumerate(self._settings.arms):
            count, mean, deviation = int(counts[place]), None, None
            if count:
                centred = sums[place] / count
                mean = centred + (self.offset or 0.0)
                deviation = float(np.sqrt(max(0.0, squares[place] / count - centred**2)))
            found.append(
                ArmRewards(
                    arm=arm, requests=int(self.requests[:, place].sum()), rows=int(self._rows[place]),
                    degraded=int(self._degraded[place]), waiting=int(self._waiting[place]),
                    unrewarded=int(self._unrewarded[place]), rewarded=count, mean=mean, deviation=deviation,
                )
            )  # fmt: skip
        return found

    def guardrails(self) -> list[Guardrail]:
        return [
            Guardrail(
                arm=arm, requests=int(self.requests[:, place].sum()), failures=None,
                degraded=int(self._degraded[place]), latencies_ms=latency_quantiles(self._latencies[place], BOUNDS_MS),
            )
            for place, arm in enumerate(self._settings.arms)
        ]  # fmt: skip


def _rising(looks: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Looks that never fall within a key."""
    size = int(looks.max()) + 1
    order = keys - keys[0]
    return np.asarray(np.maximum.accumulate(order * size + looks) - order * size)


def _query(settings: Settings, *, with_bodies: bool = False) -> RowQuery:
    return RowQuery(
        experiment=settings.experiment, since=settings.begun, by_entity=settings.is_clustered,
        within_seconds=settings.within_seconds, missing_reward=settings.missing_reward, with_bodies=with_bodies,
    )  # fmt: skip


def _choices(database: JournalDatabase, settings: Settings, *, with_bodies: bool) -> Iterator[Choices]:
    index = {arm: place for place, arm in enumerate(settings.arms)}
    for rows in journal_rows(database, _query(settings, with_bodies=with_bodies)):
        kept = np.flatnonzero((rows.times <= settings.now - settings.within_seconds) & np.isfinite(rows.rewards))
        if np.isinf(settings.within_seconds):
            kept = np.flatnonzero(np.isfinite(rows.rewards))
        if not len(kept):
            continue
        yield Choices(
            arms=np.array([index[rows.arms[place]] for place in kept], np.int64),
            probabilities=rows.probabilities[kept],
            rewards=rows.rewards[kept],
            keys=rows.keys[kept],
            folds=np.array(
                [
                    fold_of(rows.entities[place] if settings.is_clustered else None, int(rows.keys[place]))
                    for place in kept
                ]
            ),
            bodies=[rows.bodies[place] for place in kept] if with_bodies else [],
        )


def _notes(
    settings: Settings, sums: _Sums, arms: list[ArmRewards], effects: list[Effect], pre_period: PrePeriod | None
) -> list[str]:
    notes = []
    waiting, judged = sum(arm.waiting for arm in arms), sum(arm.rewarded + arm.unrewarded for arm in arms)
    if waiting:
        notes.append(
            f"{waiting:,} requests are younger than {settings.within_seconds:,.0f} s and wait for their rewards: they "
            "are not judged, with or without a reward"
        )
    unrewarded = sum(arm.unrewarded for arm in arms)
    if unrewarded and settings.missing_reward is None:
        notes.append(f"{unrewarded:,} of {judged:,} judged requests have no reward and are left out")
        control = arms[0]
        for arm in arms[1:]:
            tail = rates_p_value(
                (arm.unrewarded, arm.rewarded + arm.unrewarded), (control.unrewarded, control.rewarded + control.unrewarded)
            )
            if tail < 0.01:
                notes.append(
                    f"WARNING: rewards are missing at another rate for {arm.arm} than for {control.arm} "
                    f"(p = {tail:.2g}): effects may be biased"
                )
    if sums.num_certain:
        notes.append(
            f"{sums.num_certain:,} rewarded requests had no other arm to go to (probability 1): they are left out of "
            "effects"
        )
    if sums.several_rows:
        notes.append(f"{sums.several_rows:,} requests have several rows: each counts once, with the mean of its rewards")
    if settings.is_clustered and sums.without_entity:
        notes.append(f"{sums.without_entity:,} requests have no {settings.key}: each counts as a key of its own")
    if pre_period is not None and not sums.num_matched:
        notes.append(f"CUPED: none of the {len(pre_period.values):,} keys of {pre_period.source} has a reward since")
    if pre_period is not None and pre_period.num_repeated:
        notes.append(f"CUPED: {pre_period.num_repeated:,} rows of {pre_period.source} repeat a key: their mean is taken")
    missing = [arm.arm for arm in arms[1:] if arm.arm not in {effect.arm for effect in effects}]
    if missing:
        notes.append(
            f"no effect yet for {', '.join(missing)}: at least {FEWEST_KEYS} keys of it and of {arms[0].arm} with "
            "rewards that vary are needed"
        )
    return notes
