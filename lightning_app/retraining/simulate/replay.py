"""Replay: rows are answered in the order of time by the model of then, which is fitted anew as a strategy says.

At each tick, labels that are final by then may be trained on, and errors whose labels are known by then may be watched:
nothing is used before it was known. A fit takes no time of the replay; the model answers from the tick on.
"""

import numpy as np
from msgspec import Struct

from features.definitions.duration import seconds
from lightning_app.errors import UsageError
from lightning_app.retraining.gate.alpha_spending import Look, spend
from lightning_app.retraining.gate.paired_test import paired_test
from lightning_app.retraining.simulate.learner import FitFailedError, Fitted, Learner
from lightning_app.retraining.simulate.replay_rows import ReplayRows
from lightning_app.retraining.simulate.strategy import Strategy
from lightning_app.retraining.simulate.trigger_watch import TriggerWatch


class FitEvent(Struct, frozen=True, kw_only=True):
    """A fit of a replay.

    Attributes:
        time: When, Unix seconds.
        reason: What began it.
        rows: Rows that it was fitted to.
        promoted: Whether its model answered from then on.
        words: What the gate said.
    """

    time: float
    reason: str
    rows: int
    promoted: bool
    words: str = ""


class Replay(Struct, kw_only=True):
    """What came of a strategy.

    Attributes:
        strategy: Its name.
        errors: Error of each answered row, in the order of time; NaN where it was not answered.
        fits: Fits, the first model included.
        skipped: Cycles without a fit, by reason.
        cpu_seconds: CPU time of the fits.
    """

    strategy: str
    errors: np.ndarray
    fits: list[FitEvent]
    skipped: dict[str, int]
    cpu_seconds: float


def replay(rows: ReplayRows, learner: Learner, strategy: Strategy, *, start: float, tick: float) -> Replay:
    """Replays a strategy.

    Args:
        rows: The rows.
        learner: What fits models.
        strategy: When it fits.
        start: First row that is answered, Unix seconds; the first model is fitted to what is final by then.
        tick: Seconds between two looks.

    Raises:
        UsageError: Nothing is final at the start, or the first fit failed.
    """
    return _Run(rows, learner, strategy, start=start, tick=tick).run()


class _Run:
    def __init__(self, rows: ReplayRows, learner: Learner, strategy: Strategy, *, start: float, tick: float) -> None:
        self._rows, self._learner, self._strategy = rows, learner, strategy
        self._start, self._tick = start, tick
        self._errors = np.full(len(rows.event), np.nan)
        self._fits: list[FitEvent] = []
        self._skipped: dict[str, int] = {}
        self._looks: list[Look] = []
        self._watch = TriggerWatch(rows, strategy, start=start)
        self._order = np.argsort(rows.available, kind="stable")

    def run(self) -> Replay:
        rows, cpu = self._rows, self._learner.cpu_seconds
        first = self._usable(self._start)
        if not len(first):
            raise UsageError("start: no label is final at the first row that is to be answered; begin later")
        champion = self._learner.fit(first)
        self._fits.append(FitEvent(time=self._start, reason="first model", rows=len(first), promoted=True))
        now, end, heard = self._start, float(rows.event[-1]), 0
        while now <= end:
            if now > self._start:
                heard = self._hear(heard, now)
                if (reason := self._watch.due(now, self._errors)) is not None:
                    champion = self._cycle(champion, now, reason)
            begin, stop = np.searchsorted(rows.event, (now, now + self._tick))
            places = np.arange(begin, stop)
            self._errors[places] = champion.errors(places)
            now += self._tick
        answered = self._errors[np.searchsorted(rows.event, self._start) :]
        return Replay(
            strategy=self._strategy.name, errors=answered, fits=self._fits, skipped=self._skipped,
            cpu_seconds=self._learner.cpu_seconds - cpu,
        )  # fmt: skip

    def _hear(self, heard: int, now: float) -> int:
        """Tells the watch the errors whose labels became known, in the order in which they did."""
        known = int(np.searchsorted(self._rows.available[self._order], now, side="right"))
        places = self._order[heard:known]
        errors = self._errors[places]
        self._watch.hear(errors[np.isfinite(errors)])
        return known

    def _cycle(self, champion: Fitted, now: float, reason: str) -> Fitted:
        strategy, data, rows = self._strategy, self._strategy.policy.data, self._rows
        usable = self._usable(now)
        is_gated = strategy.follows_policy and strategy.gated
        train, evaluation = usable, np.empty(0, dtype=np.int64)
        if is_gated and len(usable):
            boundary = rows.event[usable].max() - seconds(data.evaluation_window)
            train, evaluation = usable[rows.final[usable] <= boundary], usable[rows.event[usable] > boundary]
        needed = data.minimum_rows
        if len(train) < needed.train or (is_gated and len(evaluation) < needed.evaluation):
            return self._skip(champion, now, "too few rows")
        try:
            candidate = self._learner.fit(train)
        except FitFailedError as error:
            return self._skip(champion, now, str(error))
        promoted, words = self._judge(champion, candidate, evaluation) if is_gated else (True, "")
        event = FitEvent(time=now, reason=reason, rows=len(train), promoted=promoted, words=words)
        self._fits.append(event)
        self._watch.ended(now, promoted=promoted)
        if promoted:
            self._looks = []
        return candidate if promoted else champion

    def _judge(self, champion: Fitted, candidate: Fitted, evaluation: np.ndarray) -> tuple[bool, str]:
        gate, data = self._strategy.policy.gate, self._strategy.policy.data
        own, other = candidate.errors(evaluation), champion.errors(evaluation)
        both = np.isfinite(own) & np.isfinite(other)
        result = paired_test(own[both], other[both], margin=gate.margin)
        event = self._rows.event[evaluation]
        self._looks.append(Look(p_value=result.p_value, since=float(event[0]), until=float(event[-1])))
        spending = spend(gate.alpha, self._looks)
        passed = result.rows >= data.minimum_rows.evaluation and spending.passes(result.p_value)
        return passed, f"error {result.ratio - 1:+.1%}, p {result.p_value:.2g}, {spending.alpha:.2g} is needed"

    def _skip(self, champion: Fitted, now: float, reason: str) -> Fitted:
        self._skipped[reason] = self._skipped.get(reason, 0) + 1
        self._watch.ended(now, promoted=False)
        return champion

    def _usable(self, now: float) -> np.ndarray:
        """Places of rows that may be trained on."""
        window = self._strategy.policy.data.train_window
        oldest = -np.inf if window is None else now - seconds(window)
        return np.flatnonzero((self._rows.final <= now) & (self._rows.event >= oldest))
