"""Evidence of a canary: what both arms have answered so far, by the probability of the assignment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lightning_app.serving.experiments.sequential.event_test import StratumEvents
from lightning_app.serving.experiments.sequential.mean_difference import Moments, StratumRewards

CHALLENGER, CHAMPION = "challenger", "champion"
_DIGITS = 9
"""1 - 0.01 and 0.99 are the same share."""


@dataclass(frozen=True)
class ArmTotals:
    """Requests of one arm that were assigned with one probability.

    Attributes:
        requests: Requests, failed ones included.
        failures: Requests that the arm itself could not answer.
        latencies: Answered requests by the bins of `Evidence.bounds`; the last bin is that above all bounds.
    """

    requests: int
    failures: int
    latencies: Sequence[int]


_NONE = ArmTotals(0, 0, ())


@dataclass(frozen=True)
class Evidence:
    """Everything that was counted since a canary began.

    Attributes:
        requests: By arm and probability of the arm.
        bounds: Upper bounds of the bins of latencies, in milliseconds, rising.
        rewards: By arm and probability of the arm.
    """

    requests: Mapping[tuple[str, float], ArmTotals]
    bounds: Sequence[float]
    rewards: Mapping[tuple[str, float], Moments] = field(default_factory=dict)

    def shares(self) -> list[float]:
        """Shares of the challenger at which requests were assigned, rising."""
        return sorted({_share(*key) for key in self.requests})

    def arm(self, arm: str, share: float) -> ArmTotals:
        """Requests of an arm while the challenger had a share.

        Args:
            arm: Name of the arm.
            share: Share of the challenger.
        """
        found = [totals for key, totals in self.requests.items() if key[0] == arm and _share(*key) == share]
        return found[0] if found else _NONE

    def challenger_requests(self) -> int:
        """Requests that the challenger has seen."""
        return sum(totals.requests for (arm, _), totals in self.requests.items() if arm == CHALLENGER)

    def all_requests(self) -> int:
        """Requests that both arms have seen."""
        return sum(totals.requests for totals in self.requests.values())

    def failures(self) -> list[StratumEvents]:
        """Failures by the share of the challenger."""
        strata = []
        for share in self.shares():
            own, other = self.arm(CHALLENGER, share), self.arm(CHAMPION, share)
            strata.append(
                StratumEvents(
                    share=share,
                    challenger=own.failures,
                    champion=other.failures,
                    challenger_others=own.requests - own.failures,
                    champion_others=other.requests - other.failures,
                )
            )
        return strata

    def reward_strata(self, low: float) -> list[StratumRewards]:
        """Rewards above the least one, by the share of the challenger.

        Args:
            low: The least reward; it is subtracted.
        """
        by_share: dict[float, dict[str, Moments]] = {}
        for key, moments in self.rewards.items():
            by_share.setdefault(_share(*key), {})[key[0]] = _above(moments, low)
        none = Moments(0, 0.0, 0.0)
        return [StratumRewards(arms.get(CHALLENGER, none), arms.get(CHAMPION, none)) for arms in by_share.values()]


def _share(arm: str, probability: float) -> float:
    return round(probability if arm == CHALLENGER else 1 - probability, _DIGITS)


def _above(moments: Moments, low: float) -> Moments:
    squares = moments.squares - 2 * low * moments.total + low * low * moments.count
    return Moments(moments.count, moments.total - low * moments.count, squares)
