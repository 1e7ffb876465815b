"""ExperimentState: what an experiment has decided and learned; JSON in the table of experiments."""

from msgspec import Struct

from lightning_app.serving.config.control_channel import Interval
from lightning_app.serving.config.experiment_config import Policy
from lightning_app.serving.experiments.policies.arm_statistics import ArmStatistics
from lightning_app.serving.experiments.policies.linear_moments import LinearMoments
from lightning_app.serving.experiments.store import Position


class Settings(Struct, frozen=True, kw_only=True):
    """What may be changed while an experiment runs.

    Attributes:
        since: When the server that changed them last was told so, Unix seconds.
        shares: Configured share by arm; 0 stops an arm.
        policy: How shares are decided.
    """

    since: float
    shares: dict[str, float]
    policy: Policy

    @property
    def stopped(self) -> frozenset[str]:
        """Arms that get nothing."""
        return frozenset(arm for arm, share in self.shares.items() if share == 0)


class ArmRecord(Struct, kw_only=True):
    """All that came of an arm so far, nothing forgotten.

    Attributes:
        rewards: Rewards that counted.
        total: Their sum, as they were sent.
        missing: Answers that count as a reward of `low`, since none came in time.
    """

    rewards: int = 0
    total: float = 0.0
    missing: int = 0


class Read(Struct, kw_only=True):
    """How far the journal was read.

    Attributes:
        rewards: Rewards; None before the first time.
        missing: Number of the prediction up to which missing rewards were counted; None before the first time.
    """

    rewards: Position | None = None
    missing: int | None = None


class LeftOut(Struct, kw_only=True):
    """Rewards that nothing was learned from.

    Attributes:
        late: They came after `within_seconds`.
        out_of_range: They were out of bounds.
        unknown_arm: Their arm is none of the experiment's.
        unread: The columns of their request could not be read.
    """

    late: int = 0
    out_of_range: int = 0
    unknown_arm: int = 0
    unread: int = 0


class ExperimentState(Struct, kw_only=True):
    """State of a split or a bandit.

    Attributes:
        settings: What may be changed while it runs.
        layout: Arms by the point of a key.
        records: All that came of each arm.
        read: How far the journal was read.
        left_out: Rewards that nothing was learned from.
        learned: When the statistics were brought up to date, Unix seconds.
        statistics: Rewards by arm, of a Thompson policy.
        moments: Columns and rewards, of a linear policy.
        arm: Arm that answers everything once the experiment is stopped; None is the control.
    """

    settings: Settings
    layout: list[Interval]
    records: dict[str, ArmRecord]
    read: Read
    left_out: LeftOut
    learned: float
    statistics: dict[str, ArmStatistics] = {}
    moments: LinearMoments | None = None
    arm: str | None = None
