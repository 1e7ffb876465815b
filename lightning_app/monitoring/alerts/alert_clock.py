"""AlertClock: how much time has passed for alerts; a clock that is set back stops it, and never turns it back."""

import logging

from msgspec import Struct

_log = logging.getLogger("lightning_app.monitoring.alerts")
FROZEN_SECONDS = 3600.0
"""After so long by the clock that was set back, it is believed."""


class AlertClock(Struct, frozen=True, kw_only=True):
    """Time as alerts know it.

    While the time is before the latest that was seen, nothing fires, is resolved or is sent again. A clock that has
    once been far ahead must not silence all alerts until it is there again: after `FROZEN_SECONDS` the time is
    believed, and `elapsed` goes on from where it was.

    Attributes:
        latest: Latest time that was seen, Unix seconds.
        elapsed: Seconds that have passed while the clock went forward.
        back_since: Time at which the clock was first seen to be behind; None while it is not.
    """

    latest: float
    elapsed: float = 0.0
    back_since: float | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether the clock is behind."""
        return self.back_since is not None

    def at(self, now: float) -> "AlertClock":
        """The clock at a later call.

        Args:
            now: Unix seconds.
        """
        if now >= self.latest:
            return AlertClock(latest=now, elapsed=self.elapsed + now - self.latest)
        if self.back_since is None or now < self.back_since:
            _log.warning(
                "the clock was set back by %.0f s; alerts stay as they are until it is there again, at most %g s",
                self.latest - now, FROZEN_SECONDS,
            )  # fmt: skip
            return AlertClock(latest=self.latest, elapsed=self.elapsed, back_since=now)
        if now - self.back_since >= FROZEN_SECONDS:
            _log.warning("the clock is still behind by %.0f s, and is believed from now on", self.latest - now)
            return AlertClock(latest=now, elapsed=self.elapsed)
        return self
