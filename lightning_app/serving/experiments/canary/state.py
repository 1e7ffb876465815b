"""CanaryState: what a canary remembers between two looks; JSON in the table of experiments."""

from typing import Literal

from msgspec import Struct

Action = Literal["promote", "roll_back", "keep"]


class LatencyThreshold(Struct, frozen=True, kw_only=True):
    """A latency that answers should stay below, fixed before those that it judges were counted.

    Attributes:
        quantile: Quantile of the champion's latencies in the warm-up.
        bin: Answers of the champion in later bins exceed it.
        challenger_bin: Answers of the challenger in later bins exceed it: the threshold times 1 + margin.
        milliseconds: The threshold.
        rate: Share of the champion's answers in the warm-up that exceeded it.
    """

    quantile: float
    bin: int
    challenger_bin: int
    milliseconds: float
    rate: float


class Baseline(Struct, frozen=True, kw_only=True):
    """Warm-up of the latencies.

    Attributes:
        thresholds: What it led to.
        counted: Latencies that led to it, which are not judged: share of the challenger, those of the challenger, those
            of the champion.
    """

    thresholds: list[LatencyThreshold]
    counted: list[tuple[float, list[int], list[int]]]


class Guard(Struct, frozen=True, kw_only=True):
    """What is tolerated once nothing is left to compare with.

    Attributes:
        errors: Rate of failures.
        exceedances: Rate of answers above each threshold.
    """

    errors: float
    exceedances: list[float]


class Request(Struct, frozen=True, kw_only=True):
    """What a person wants done with a canary that runs, whatever was measured.

    Attributes:
        action: What to do.
        reason: Why; it is recorded.
        who: `user@host`.
    """

    action: Literal["promote", "roll_back"]
    reason: str
    who: str


class Verdict(Struct, frozen=True, kw_only=True):
    """End of a canary, decided but perhaps not carried out yet.

    Attributes:
        action: What happens to the aliases.
        status: Status of the experiment once that is done.
        reason: Why, in one line.
        time: When it was decided, in seconds since 1970.
        forced: Whether a person overrules the gates of the promotion.
    """

    action: Action
    status: Literal["promoted", "rolled_back", "expired", "stopped"]
    reason: str
    time: float
    forced: bool = False


class CanaryState(Struct, frozen=True, kw_only=True):
    """State of a canary.

    Attributes:
        model: Name in addresses.
        registered: Name in the registry.
        version: Version of the challenger.
        digest: sha256 of its manifest.
        champion: Version of the champion that it is compared with; None for a folder.
        champion_digest: sha256 of its manifest.
        started: When it began, in seconds since 1970.
        step: Place in the steps.
        step_started: When the step began.
        step_requests: Requests that the challenger had seen by then.
        baseline: Warm-up of the latencies; None until there are enough.
        guard: What is tolerated at the last step; None before.
        request: What a person wants done.
        verdict: Its end; nobody is sent to the challenger any more, unless it was promoted.
        looked: When evidence was last recorded as an event.
    """

    model: str
    registered: str
    version: int
    digest: str
    champion: int | None
    champion_digest: str
    started: float
    step_started: float
    step: int = 0
    step_requests: int = 0
    baseline: Baseline | None = None
    guard: Guard | None = None
    request: Request | None = None
    verdict: Verdict | None = None
    looked: float = 0.0
