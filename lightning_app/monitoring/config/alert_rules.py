"""AlertRule: what is worth a message; one entry of `alerts` in monitor.yaml."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from features.definitions.duration import Duration

RuleName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$(?!\n)")]
LabelName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
Severity = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]
Selector = str | Annotated[tuple[str, ...], Meta(min_length=1)]
"""A value of a label, or several of which one has to fit; `*` stands for any characters."""
Bound = Literal["value", "lower", "upper"]


class AlertRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"hold": "for"}):
    """A bound on a metric, or its absence. Exactly one of `above`, `below` and `absent` is given.

    Attributes:
        name: Its name, unique.
        metric: A name of `lightning_app/monitoring/report/metric_names.py`.
        select: Values of labels; a label that is not here may have any value, and each combination is an alert of its
            own.
        above: The rule holds where the metric is larger.
        below: The rule holds where the metric is smaller.
        absent: The rule holds while the metric has no sample at all.
        bound: What is compared: the value, or an end of its interval, for metrics that have one.
        clear: Where an alert that fires ends; on the other side of `above` or `below`. None takes these themselves.
        hold: How long the rule has to hold before the alert fires (`for` in YAML).
        windows: The same, as a number of windows of the model: its `every`.
        keep_firing_for: How long the rule must not hold before the alert is resolved.
        severity: How bad it is, e.g. `info`, `warn` or `page`.
        message: Text of the alert; `{model}` is a label, `{value:.3g}` the value, `{threshold}` the bound, `{name}` the
            metric. None takes a text of all of these.
        labels: Further labels of its alerts, e.g. a team.
        annotations: Further texts, of the form of `message`, e.g. what to do.
        repeat_every: After which time an alert that still fires is sent again; None never.
        sinks: Names of sinks; None takes all.
    """

    name: RuleName
    metric: str
    select: dict[str, Selector] = {}
    above: float | None = None
    below: float | None = None
    absent: bool = False
    bound: Bound = "value"
    clear: float | None = None
    hold: Duration | None = None
    windows: Annotated[int, Meta(ge=1, le=1000)] | None = None
    keep_firing_for: Duration | None = None
    severity: Severity = "warn"
    message: str | None = None
    labels: dict[LabelName, str] = {}
    annotations: dict[LabelName, str] = {}
    repeat_every: Duration | None = "1d"
    sinks: tuple[str, ...] | None = None
