"""Sums: what one pass over the predictions of an experiment adds up."""

import numpy as np
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.guardrails import BOUNDS_MS, Guardrail, classed, latency_quantiles
from lightning_app.serving.experiments.analysis.journal_rows import Rows
from lightning_app.serving.experiments.analysis.pre_period import PrePeriod, values_before
from lightning_app.serving.experiments.analysis.results import ArmRewards
from lightning_app.serving.experiments.analysis.settings import Settings
from lightning_app.serving.experiments.analysis.statistics.moments import Moments, Observations
from lightning_app.serving.experiments.analysis.statistics.sample_ratio import SampleRatioBuilder

Array = NDArray[np.float64]


def judged_rewards(rows: Rows, settings: Settings) -> Array:
    """Rewards of requests that are old enough; nan for all others, and for those without one that are left out.

    Args:
        rows: The requests.
        settings: Says what is old enough, and what a missing reward counts.
    """
    filled = (
        rows.rewards if settings.missing_reward is None else np.nan_to_num(rows.rewards, nan=settings.missing_reward)
    )
    return np.where(rows.times <= settings.judged_until, filled, np.nan)


class Sums:
    """What one pass over the predictions adds up.

    Args:
        settings: How the experiment is analysed.
        pre_period: What keys did before; None without CUPED.

    Attributes:
        ends: Time of each look, Unix seconds, (L,).
        moments: Of rewarded requests that could have gone to another arm.
        sample_ratio: Of all requests.
        requests: By look and arm, (L, A).
        num_certain: Rewarded requests with probability 1.
        num_keys: Keys with a reward.
        num_matched: Those of them that have a value in the pre-period.
        several_rows: Requests with several rows.
        without_name: Requests without the entity or session.
        offset: What was subtracted from rewards; None before the first.
    """

    def __init__(self, settings: Settings, pre_period: PrePeriod | None) -> None:
        num_arms, num_looks = len(settings.arms), settings.num_looks
        self._settings, self._pre_period = settings, pre_period
        self._mean_before = (
            float(np.mean(list(pre_period.values.values()))) if pre_period and pre_period.values else 0.0
        )
        self._index = {arm: place for place, arm in enumerate(settings.arms)}
        width = max(settings.until - settings.begun, 1e-6) / num_looks
        self.ends: Array = settings.begun + width * np.arange(1.0, num_looks + 1)
        self.moments = Moments(num_arms=num_arms, num_looks=num_looks)
        self.sample_ratio = SampleRatioBuilder(settings.arms, num_looks=num_looks)
        self.requests = np.zeros((num_looks, num_arms))
        self._rows, self._degraded, self._waiting, self._unrewarded = (np.zeros(num_arms, np.int64) for _ in range(4))
        self._latencies = np.zeros((num_arms, len(BOUNDS_MS) + 1))
        self.num_certain = self.num_keys = self.num_matched = self.several_rows = self.without_name = 0
        self.offset: float | None = None

    def add(self, rows: Rows) -> None:
        """Adds a part of the journal.

        Args:
            rows: Predictions; a key is in one part only.
        """
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
        self.without_name += sum(name is None for name in rows.names)
        judged = rows.times <= settings.judged_until
        self._waiting += np.bincount(arms[~judged], minlength=num_arms)
        self._unrewarded += np.bincount(arms[judged & ~np.isfinite(rows.rewards)], minlength=num_arms)
        rewards = judged_rewards(rows, settings)
        certain = rows.probabilities >= 1
        self.num_certain += int((np.isfinite(rewards) & certain).sum())
        self._observe(rows, arms, looks, np.where(certain, np.nan, rewards))

    def _observe(self, rows: Rows, arms: NDArray[np.int64], looks: NDArray[np.int64], rewards: Array) -> None:
        kept = np.isfinite(rewards)
        if not kept.any():
            return
        rewards, probabilities, keys = rewards[kept], rows.probabilities[kept], rows.keys[kept]
        if self.offset is None:
            # Near 0, so that sums of squares do not cancel; differences do not depend on it.
            self.offset = float(rewards.mean())
        before = np.zeros(len(rewards))
        names = [name for name, keep in zip(rows.names, kept, strict=True) if keep]
        if self._pre_period is not None:
            before, matched = values_before(names, self._pre_period.values, self._mean_before)
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

    @property
    def has_constant_shares(self) -> bool:
        """Whether each arm was always chosen with one probability."""
        return self.sample_ratio.is_constant

    def arms(self) -> list[ArmRewards]:
        """Requests and rewards by arm, after the moments were finished."""
        counts = self.moments.requests[-1]
        sums, squares = self.moments.rewards.sum(axis=0), self.moments.squares.sum(axis=0)
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
                    judged=int(self.requests[:, place].sum()) - int(self._waiting[place]),
                    unrewarded=int(self._unrewarded[place]), rewarded=count, mean=mean, deviation=deviation,
                )
            )  # fmt: skip
        return found

    def guardrails(self) -> list[Guardrail]:
        """Latency and degraded answers of answered requests, by arm."""
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
