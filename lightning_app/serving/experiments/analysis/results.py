"""Results of an analysis: what the report, the pictures and the JSON are made of."""

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.guardrails import Guardrail
from lightning_app.serving.experiments.analysis.off_policy.estimates import OffPolicy
from lightning_app.serving.experiments.analysis.settings import Settings
from lightning_app.serving.experiments.analysis.statistics.effects import Curve, Effect
from lightning_app.serving.experiments.analysis.statistics.sample_ratio import SampleRatio
from lightning_app.terminal import finite

Array = NDArray[np.float64]


class ArmRewards(Struct, frozen=True, kw_only=True):
    """Requests and rewards of an arm.

    Attributes:
        arm: The arm.
        requests: Requests that it was chosen for.
        rows: Their rows.
        degraded: Requests that another answered; their rewards count for the arm that was chosen.
        waiting: Requests that are too young to be judged.
        judged: Requests that are old enough.
        unrewarded: Judged requests without a reward.
        rewarded: Requests that count in the effect; a request with several rows has the mean of their rewards.
        mean: Mean reward; None without any.
        deviation: Standard deviation of the rewards.
    """

    arm: str
    requests: int
    rows: int
    degraded: int
    waiting: int
    judged: int
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
        rewards: Sums of rewards less `offset`, (L, A).
        squares: Sums of squares of rewards less `offset`, (L, A).
        offset: What was subtracted from each reward.
        curves: Effect by arm.
    """

    ends: Array
    requests: Array
    rewarded: Array
    rewards: Array
    squares: Array
    offset: float
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


def as_data(result: Any) -> Any:
    """A result as JSON can hold it.

    Args:
        result: Any of the structs of this package.
    """
    return finite(msgspec.to_builtins(result, enc_hook=_plain))


def _plain(value: Any) -> Any:
    return value.tolist()  # arrays and numbers of NumPy
