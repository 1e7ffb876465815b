"""ExperimentConfig: who answers a share of the requests, and how that is decided; shadow and canary beside it."""

from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
ArmName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)")]
Key: TypeAlias = Literal["request", "entity", "session"]
_TOLERANCE = 1e-9
_MOST_WEIGHTS = 500_000


class ArmConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arm of an experiment.

    Attributes:
        name: Name of the arm, in answers and in the journal.
        model: `NAME@challenger`, `NAME@3` or a folder; None is the served model itself.
        share: Share of the keys that it answers; a bandit begins with it.
    """

    name: ArmName
    model: str | None = None
    share: Share


class Split(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="split"):
    """Fixed shares; a ramp is a change of them."""


class Thompson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="thompson"):
    """Each arm answers as often as it is likely to be the best one.

    Attributes:
        floor: Least share of each arm.
        sharpness: How often each reward is counted: 1 is Thompson sampling as published, which tries inferior arms for
            longer than pays off within some ten thousand answers.
        half_life_seconds: After this time a reward counts half; None forgets nothing.
        missing_is_zero: Whether an answer without a reward after `within_seconds` counts as a reward of `low`.
    """

    floor: Annotated[float, Meta(ge=0, le=0.5)] = 0.01
    sharpness: Annotated[float, Meta(ge=0.1, le=10)] = 2.0
    half_life_seconds: Positive | None = None
    missing_is_zero: bool = False


class Linear(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="linear"):
    """As `Thompson`, by columns of the request: a linear model of the reward for each arm.

    Attributes:
        columns: Numeric columns of the request.
        floor: Least share of each arm.
        half_life_seconds: After this time a reward counts half; None forgets nothing.
        missing_is_zero: Whether an answer without a reward after `within_seconds` counts as a reward of `low`.
        draws: Draws of the posterior; a share is a whole number of them.
    """

    columns: Annotated[list[str], Meta(min_length=1, max_length=64)]
    floor: Annotated[float, Meta(ge=0, le=0.5)] = 0.01
    half_life_seconds: Positive | None = None
    missing_is_zero: bool = False
    draws: Annotated[int, Meta(ge=16, le=4096)] = 256


Policy: TypeAlias = Split | Thompson | Linear


class RewardConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rewards that feedback brings.

    Attributes:
        kind: `binary`: 0 or 1; `continuous`: any number from `low` to `high`.
        low: Least reward.
        high: Largest reward.
        within_seconds: A reward that comes later is kept, but no longer counted.
    """

    kind: Literal["binary", "continuous"] = "binary"
    low: float = 0.0
    high: float = 1.0
    within_seconds: Positive = 7 * 86_400.0


class ExperimentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment: several arms answer under one name.

    Attributes:
        name: Its name, unique for ever: keys are assigned by it.
        arms: The arms; the first is the control.
        key: What an arm is chosen for: each `request`, each `entity`, or each `session`.
        policy: How shares are decided.
        reward: What arms are compared by.
    """

    name: ArmName
    arms: Annotated[list[ArmConfig], Meta(min_length=2, max_length=32)]
    key: Key = "request"
    policy: Policy = Split()
    reward: RewardConfig = RewardConfig()


class ShadowConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that answers the same requests, for the journal alone.

    Attributes:
        model: `NAME@shadow`, `NAME@3` or a folder; an alias may not exist yet.
        sample: Share of the requests.
        queue: Requests that may wait for it; more are left out and counted.
        deadline_ms: How long it may take, in milliseconds.
    """

    model: str
    sample: Share = 0.1
    queue: Count = 256
    deadline_ms: Positive = 10_000.0


class Margins(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much worse than the champion a version may be; relative, 0.1 is 10 %.

    Attributes:
        errors: Rate of failed requests.
        latency: Latency.
        reward: Mean reward.
    """

    errors: Annotated[float, Meta(ge=0)] = 0.1
    latency: Annotated[float, Meta(ge=0)] = 0.1
    reward: Annotated[float, Meta(ge=0)] = 0.03


class CanaryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Step by step, a version with the alias `challenger` takes the place of the champion, or is taken back.

    Attributes:
        alias: Alias whose appearance begins a canary.
        key: What a version is chosen for: each `request`, each `entity`, or each `session`.
        steps: Share of the challenger in each step, rising to 1.
        min_requests: Requests of the challenger in each step, at least.
        min_seconds: Duration of each step, at least.
        max_seconds: Duration of the whole canary, at most.
        alpha: Probability that a version that is no worse is taken back, at most.
        margins: How much worse it may be.
        reward: What versions are compared by; None compares errors and latency alone.
        on_expiry: What becomes of a version that was not shown to be no worse in `max_seconds`.
        gates: File of the gates that promotion has to pass; None takes those that are shipped.
    """

    alias: Literal["challenger"] = "challenger"
    key: Key = "request"
    steps: Annotated[list[Annotated[float, Meta(gt=0, le=1)]], Meta(min_length=1, max_length=20)] = field(
        default_factory=lambda: [0.01, 0.05, 0.25, 0.5, 1.0]
    )
    min_requests: Count = 200
    min_seconds: Annotated[float, Meta(ge=0)] = 300.0
    max_seconds: Positive = 7 * 86_400.0
    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.05
    margins: Margins = Margins()
    reward: RewardConfig | None = None
    on_expiry: Literal["roll_back", "keep"] = "roll_back"
    gates: str | None = None


def experiment_problem(experiment: ExperimentConfig) -> str | None:
    """What is wrong with an experiment beyond its types; None if nothing is.

    Args:
        experiment: The experiment.
    """
    names = [arm.name for arm in experiment.arms]
    if len(set(names)) < len(names):
        return f"experiment.arms: two have the same name, given: {', '.join(names)}"
    if "shadow" in names or any(name.startswith("fallback-") for name in names):
        return "experiment.arms: the names shadow and fallback-... are taken"
    total = sum(arm.share for arm in experiment.arms)
    if abs(total - 1) > _TOLERANCE:
        return f"experiment.arms: the shares sum to {total:.10g}, not to 1"
    own = [arm.name for arm in experiment.arms if arm.model is None]
    if len(own) != 1:
        which = " and ".join(own) or "none"
        return f"experiment.arms: {which} without a model; one arm has to be the served model itself"
    floor = 0.0 if isinstance(experiment.policy, Split) else experiment.policy.floor
    if floor * len(names) > 1:
        return f"experiment.policy.floor: {floor:g} for each of {len(names)} arms is more than all requests"
    if isinstance(experiment.policy, Linear) and (problem := _linear_problem(experiment.policy, len(names))):
        return problem
    return _reward_problem(experiment.reward, "experiment.reward")


def canary_problem(canary: CanaryConfig) -> str | None:
    """What is wrong with a canary beyond its types; None if nothing is.

    Args:
        canary: The canary.
    """
    steps = canary.steps
    if any(later <= earlier for earlier, later in pairwise(steps)) or steps[-1] != 1:
        given = ", ".join(f"{step:g}" for step in steps)
        return f"canary.steps: {given} given; each has to be larger than the one before, and the last 1"
    if len(steps) == 1:
        return "canary.steps: 1 alone given; the challenger is compared with the champion in the steps before"
    if canary.min_seconds * len(steps) > canary.max_seconds:
        return f"canary.max_seconds: {canary.max_seconds:g} given, the steps take {canary.min_seconds:g} s each"
    return None if canary.reward is None else _reward_problem(canary.reward, "canary.reward")


def _linear_problem(policy: Linear, num_arms: int) -> str | None:
    twice = [column for column in policy.columns if policy.columns.count(column) > 1]
    if twice:
        return f"experiment.policy.columns: {twice[0]} given twice"
    if (size := num_arms * policy.draws * (1 + len(policy.columns))) > _MOST_WEIGHTS:
        return (
            f"experiment.policy.draws: {policy.draws} for each of {num_arms} arms and {len(policy.columns)} columns: "
            f"{size:,} numbers, at most {_MOST_WEIGHTS:,} are sent to workers; take fewer"
        )
    return None


def _reward_problem(reward: RewardConfig, where: str) -> str | None:
    if reward.low >= reward.high:
        return f"{where}: low {reward.low:g} has to be less than high {reward.high:g}"
    if reward.kind == "binary" and (reward.low, reward.high) != (0.0, 1.0):
        return f"{where}: low and high of binary rewards are 0 and 1; take kind: continuous"
    return None
