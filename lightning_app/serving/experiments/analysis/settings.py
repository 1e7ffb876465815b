"""Settings: how an experiment is analysed, from what was recorded of it and from the command line."""

import math

from msgspec import Struct

from lightning_app.serving.config.experiment_config import Key
from lightning_app.serving.experiments.analysis.statistics.effects import TIGHTEST_AT


class Settings(Struct, frozen=True, kw_only=True):
    """How an experiment is analysed.

    Attributes:
        experiment: Its id.
        model: Name of the model.
        kind: `split`, `thompson`, `linear` or `canary`; None if nothing was recorded of it.
        arms: Names of the arms, control first.
        key: What arms were chosen for: `request`, `entity` or `session`.
        begun: First time of arrival, Unix seconds.
        until: Last time of arrival.
        now: Time of the analysis, Unix seconds.
        within_seconds: A request is judged when it is older; later rewards do not count. Infinity waits for none.
        missing_reward: Reward of judged requests without one; None leaves them out.
        alpha: One minus the coverage of intervals.
        tightest_at: Number of keys at which confidence sequences are tightest.
        num_looks: Looks into which the time is divided.
        clip: Largest weight of off-policy estimates; None clips nothing.
    """

    experiment: str
    model: str
    kind: str | None
    arms: list[str]
    key: Key
    begun: float
    until: float
    now: float
    within_seconds: float
    missing_reward: float | None
    alpha: float = 0.05
    tightest_at: float = TIGHTEST_AT
    num_looks: int = 100
    clip: float | None = None

    @property
    def is_clustered(self) -> bool:
        """Whether several requests may have the same key."""
        return self.key != "request"

    @property
    def judged_until(self) -> float:
        """Requests up to this time of arrival are judged, Unix seconds."""
        return self.now - self.within_seconds if math.isfinite(self.within_seconds) else math.inf
