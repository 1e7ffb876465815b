"""TriggerWatch: which trigger of a strategy holds at a tick of a replay, within the limits of the policy."""

import numpy as np

from features.definitions.duration import seconds
from lightning_app.retraining.gate.paired_test import correlated_rows
from lightning_app.retraining.simulate.replay_rows import ReplayRows
from lightning_app.retraining.simulate.strategy import Strategy, new_detector

_WEEK = 7 * 86_400.0
_QUANTILE = 1.96
_FEWEST = 30


class TriggerWatch:
    """Follows errors and labels.

    Args:
        rows: Rows of the replay.
        strategy: What triggers.
        start: When the first model was fitted.
    """

    def __init__(self, rows: ReplayRows, strategy: Strategy, *, start: float) -> None:
        self._rows, self._strategy = rows, strategy
        self._final = np.sort(rows.final)
        self._detector = new_detector(strategy.detector)
        self._changed = False
        self._champion_since = self._last_fit = start
        self._rest_until = -np.inf
        self._begun: list[float] = []
        self._in_a_row = 0
        self._used: set[tuple[str, int]] = set()

    def hear(self, errors: np.ndarray) -> None:
        """Takes errors whose labels became known.

        Args:
            errors: In the order in which they became known.
        """
        if self._detector is not None:
            for error in errors.tolist():
                self._changed |= self._detector.update(error)

    def due(self, now: float, errors: np.ndarray) -> str | None:
        """Why a model is to be fitted now; None if it is not.

        Args:
            now: Unix seconds.
            errors: Errors of all rows so far, NaN of those that were not answered.
        """
        strategy = self._strategy
        if strategy.period is not None:
            return "period" if now - self._last_fit >= strategy.period - 1e-6 else None
        if not strategy.follows_policy or now < self._rest_until:
            return None
        if sum(moment > now - _WEEK for moment in self._begun) >= strategy.policy.limits.cycles_per_week:
            return None
        for kind, times in self._holding(now, errors):
            if (kind, times) not in self._used:
                self._used.add((kind, times))
                return kind
        return None

    def ended(self, now: float, *, promoted: bool) -> None:
        """Notes the end of a cycle.

        Args:
            now: Unix seconds.
            promoted: Whether its model answers from now on.
        """
        limits = self._strategy.policy.limits
        self._last_fit = now
        self._begun.append(now)
        self._changed = False
        if promoted:
            self._champion_since, self._in_a_row = now, 0
            self._used.clear()
            self._rest_until = now + seconds(limits.cool_down)
            return
        self._in_a_row += 1
        self._rest_until = now + limits.back_off_seconds(self._in_a_row)

    def _holding(self, now: float, errors: np.ndarray) -> list[tuple[str, int]]:
        triggers, holding = self._strategy.policy.triggers, list[tuple[str, int]]()
        if self._changed:
            holding.append((self._strategy.detector, len(self._begun)))
        if triggers.metric is not None and self._is_worse(now, errors):
            holding.append(("metric", len(self._begun)))
        if triggers.labels is not None:
            new = int(
                np.searchsorted(self._final, now, "right") - np.searchsorted(self._final, self._champion_since, "right")
            )
            if new >= triggers.labels:
                holding.append(("labels", new // triggers.labels))
        if triggers.age is not None and (times := int((now - self._champion_since) // seconds(triggers.age))):
            holding.append(("age", times))
        return holding

    def _is_worse(self, now: float, errors: np.ndarray) -> bool:
        """Whether the mean error of the champion's last window is surely above the bound of the policy."""
        trigger = self._strategy.policy.triggers.metric
        assert trigger is not None
        window = seconds(self._strategy.policy.data.evaluation_window) * trigger.windows
        since = max(now - window, self._champion_since)
        known = (self._rows.event >= since) & (self._rows.available <= now) & np.isfinite(errors)
        values = errors[known]
        if len(values) < _FEWEST:
            return False
        error = float(values.std(ddof=1)) * np.sqrt(correlated_rows(values) / len(values))
        return bool(values.mean() - _QUANTILE * error > trigger.bound)
