"""RetrainPolicy: when a model is retrained, from which data, and how its next version is rolled out; one YAML file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from features.definitions.duration import Duration, microseconds, seconds
from lightning_app.errors import UsageError
from lightning_app.registry.storage.reference import check_name
from lightning_app.retraining.config.executor_config import (
    CommandExecutorConfig,
    ExecutorConfig,
    LocalExecutorConfig,
    RayExecutorConfig,
    check_executor,
)
from lightning_app.serving.config.yaml_file import read_yaml_file

Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Alpha = Annotated[float, Meta(gt=0, lt=1)]
CENSORED = "censored"


class MinimumRows(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows below which no cycle goes on.

    Attributes:
        train: Rows to train on.
        evaluation: Rows that champion and candidate are compared on.
    """

    train: Count = 500
    evaluation: Count = 200


class DataPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cycle trains and is judged on.

    Attributes:
        outcome: Label column that the journal's outcomes become.
        time: Column of requests with the time of the event; None takes the time of the request.
        history: Tables of labelled rows from before the journal.
        mature_after: How long outcomes may take; younger rows without one are left out.
        missing_outcome: What an older row without outcome means: `censored` leaves it out, else its label.
        train_window: Rows that are older than this are left out; None takes all.
        evaluation_window: The latest mature rows, of this length, judge; nothing is trained on them.
        minimum_rows: Rows below which the cycle ends.
        contract: Data contract; None takes that of the champion's package. Rows that violate it block the cycle.
        exploration_only: Whether to train only on rows whose arm was drawn at random.
    """

    outcome: str
    time: str | None = None
    history: tuple[str, ...] = ()
    mature_after: Duration = "7d"
    missing_outcome: bool | int | float | str = CENSORED
    train_window: Duration | None = None
    evaluation_window: Duration = "14d"
    minimum_rows: MinimumRows = MinimumRows()
    contract: str | None = None
    exploration_only: bool = False


class SweepPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Search of hyper-parameters in place of a single fit.

    Attributes:
        space: File of the search space, as for `lightning-app sweep`.
        trials: Number of trials.
        workers: Trials at a time.
    """

    space: str
    trials: Count = 20
    workers: Count = 1


class TrainingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a version is trained.

    Attributes:
        config: Config of the fit; a shipped one may be named without its folder.
        rows: Key of the config that names the table of rows.
        start: `warm` starts from the weights of the champion, `scratch` from random ones.
        sweep: Search of hyper-parameters; None fits once.
        executor: Where training runs.
        deadline: Longest duration of an attempt.
        attempts: Most attempts of a cycle.
        overrides: Further keys of the config and their values.
    """

    config: str
    rows: str = "data.init_args.rows"
    start: Literal["scratch", "warm"] = "scratch"
    sweep: SweepPolicy | None = None
    executor: ExecutorConfig = LocalExecutorConfig()
    deadline: Duration = "6h"
    attempts: Count = 2
    overrides: dict[str, Any] = {}


class MetricTrigger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A live metric that is surely worse than a bound.

    Attributes:
        metric: Name of a metric of the monitoring report.
        bound: The interval of the metric lies wholly on the worse side of this.
        windows: Windows in a row for which it has to.
    """

    metric: str
    bound: float
    windows: Count = 1


class DriftTrigger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Drift of the champion's requests.

    Attributes:
        windows: Windows in a row that have drifted.
        columns: Columns that have to drift in each of them.
        action: `suggest` only says so, `train` begins a cycle.
    """

    windows: Count = 3
    columns: Count = 1
    action: Literal["suggest", "train"] = "suggest"


class ChangeTrigger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rise of the champion's error, found row by row.

    Attributes:
        action: `suggest` only says so, `train` begins a cycle.
    """

    action: Literal["suggest", "train"] = "suggest"


class TriggerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What begins a cycle; None or false switches a trigger off. By hand is always possible.

    Attributes:
        age: Age of the champion.
        labels: Mature labels since the last training set.
        metric: Live metric, from the monitoring of `monitor`.
        drift: Drift, from the monitoring of `monitor`.
        change: A rise of the error row by row, from the monitoring of `monitor`.
        contract: Whether a change of the data contract begins a cycle.
        config: Whether a change of the training config begins a cycle.
    """

    age: Duration | None = None
    labels: Count | None = None
    metric: MetricTrigger | None = None
    drift: DriftTrigger | None = None
    change: ChangeTrigger | None = None
    contract: bool = True
    config: bool = True


class GatePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a candidate has to prove.

    Attributes:
        alpha: Probability that a champion is ever replaced without cause, shared by all candidates that it meets.
        margin: How much worse than the champion a candidate may be, relative; below 0 it has to be better.
        gates: File of the registry's gates; None takes the default.
    """

    alpha: Alpha = 0.05
    margin: Annotated[float, Meta(gt=-1)] = 0.0
    gates: str | None = None


class ShadowPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers beside those of the champion that no client sees; a server with `shadow:` gives them.

    Attributes:
        requests: Answers to wait for.
        most: Longest wait; after it the cycle ends as expired.
        errors: Largest share of failed answers.
        agreement: Least share of answers that agree with the champion's; None allows any.
    """

    requests: Count = 1000
    most: Duration = "7d"
    errors: Share = 0.01
    agreement: Share | None = None


class CanaryPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A growing share of the requests; a server with `canary:` gives it and decides.

    Attributes:
        most: Longest wait for its end; after it the cycle ends as expired.
    """

    most: Duration = "7d"


class RolloutPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The way from the gates to the champion.

    Attributes:
        approval: Whether a person has to approve a candidate that passed the gates.
        approval_within: After this long without approval the cycle ends as expired.
        shadow: None leaves it out.
        canary: None promotes at once, through the gates.
    """

    approval: bool = False
    approval_within: Duration = "14d"
    shadow: ShadowPolicy | None = None
    canary: CanaryPolicy | None = None


class LimitPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often may be trained, and how long.

    Attributes:
        cool_down: From the end of a cycle that promoted to the beginning of the next.
        cycles_per_week: Most cycles that begin within 7 days.
        device_minutes: Most minutes of training within 7 days; None has no limit.
        back_off: From the end of a cycle that did not promote to the next; it doubles with each further one in a row,
            up to the cool-down.
        halt_after: Failed cycles in a row after which a person has to resume.
        retry_for: How long a step that fails (registry down, disk full) is tried again before its cycle fails.
    """

    cool_down: Duration = "7d"
    cycles_per_week: Count = 3
    device_minutes: Positive | None = None
    back_off: Duration = "1d"
    halt_after: Count = 3
    retry_for: Duration = "1d"

    def back_off_seconds(self, in_a_row: int) -> float:
        """Length of the back-off.

        Args:
            in_a_row: Cycles in a row that did not promote, from 1.
        """
        first = seconds(self.back_off)
        return min(first * 2.0 ** min(in_a_row - 1, 60), max(first, seconds(self.cool_down)))


class RetrainPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that continuous training of a model is told.

    Attributes:
        model: Name in the registry and in the journal.
        data: What is trained and judged on.
        training: How it is trained.
        journal: `sqlite:///FILE` or `postgresql://...`; holds predictions, outcomes, and the cycles themselves.
        registry: Where versions are registered; None takes `$MLFLOW_TRACKING_URI`.
        folder: Folder of the cycles' files.
        triggers: What begins a cycle.
        gate: What a candidate has to prove.
        rollout: The way from the gates to the champion.
        limits: How often may be trained, and how long.
        monitor: File `monitor.yaml` whose drift and metrics begin cycles.
    """

    model: str
    data: DataPolicy
    training: TrainingPolicy
    journal: str = "sqlite:///journal.db"
    registry: str | None = None
    folder: str = "retraining"
    triggers: TriggerPolicy = TriggerPolicy()
    gate: GatePolicy = GatePolicy()
    rollout: RolloutPolicy = RolloutPolicy()
    limits: LimitPolicy = LimitPolicy()
    monitor: str | None = None


_PARTS = (
    RetrainPolicy, DataPolicy, MinimumRows, TrainingPolicy, SweepPolicy, LocalExecutorConfig, CommandExecutorConfig,
    RayExecutorConfig, TriggerPolicy,
    MetricTrigger, DriftTrigger, ChangeTrigger, GatePolicy, RolloutPolicy, ShadowPolicy, CanaryPolicy, LimitPolicy,
)  # fmt: skip


def read_policy(path: str | Path) -> RetrainPolicy:
    """Reads a YAML file.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing or invalid; names the key, the value and what is allowed.
    """
    policy = read_yaml_file(path, RetrainPolicy, option="policy", parts=_PARTS)
    try:
        check_policy(policy)
    except UsageError as error:
        raise UsageError(f"policy: {path}: {error}") from error
    return policy


def check_policy(policy: RetrainPolicy) -> None:
    """Raises unless the keys of a policy fit together.

    Args:
        policy: The policy.

    Raises:
        UsageError: They do not; names the key.
    """
    check_name(policy.model)
    for key, duration in _durations(policy, ""):
        try:
            microseconds(duration)
        except ValueError as error:
            raise UsageError(f"{key}: {error}") from error
    training, triggers = policy.training, policy.triggers
    check_executor(training.executor)
    if training.rows in training.overrides:
        raise UsageError(f"training.overrides: {training.rows} is the key of the rows, which the cycle sets")
    if training.sweep is not None and training.start == "warm":
        raise UsageError("training.start: warm given together with training.sweep; a sweep starts from scratch")
    watched = (("metric", triggers.metric), ("drift", triggers.drift), ("change", triggers.change))
    for key, trigger in watched:
        if trigger is not None and policy.monitor is None:
            raise UsageError(f"triggers.{key}: needs the file of the monitoring; give it as monitor")


def _durations(part: Struct, place: str) -> Iterator[tuple[str, str]]:
    """Keys and values of all durations that are given."""
    for name in part.__struct_fields__:
        value, kind = getattr(part, name), type(part).__annotations__[name]
        if isinstance(value, Struct):
            yield from _durations(value, f"{place}{name}.")
        elif value is not None and kind in (Duration, Duration | None):
            yield f"{place}{name}", value
