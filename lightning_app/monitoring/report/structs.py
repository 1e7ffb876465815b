"""MonitorReport: everything that is known about a served model over a window; its JSON is `report.json`."""

from typing import Literal

from msgspec import Struct

from lightning_app.drift.result import DriftResult

SCHEMA_VERSION = 1
EventKind = Literal[
    "first answer", "promoted", "challenger", "shadow", "withdrawn", "rolled back", "experiment", "retraining",
    "error changed",
]  # fmt: skip
AlertStatus = Literal["inactive", "pending", "firing", "resolved"]


class Window(Struct, frozen=True, kw_only=True):
    """A span of time.

    Attributes:
        since: First moment, Unix seconds.
        until: First moment after it.
    """

    since: float
    until: float


class MetricEstimate(Struct, frozen=True, kw_only=True):
    """A metric with an interval that holds at all times at once.

    Attributes:
        metric: Name, e.g. `mae`.
        better: Which direction is better; None for neither, e.g. a bias.
        value: The metric; None if there are too few rows.
        low: Lower end; None if unknown.
        high: Upper end.
        rows: Rows that it is computed from.
    """

    metric: str
    better: Literal["lower", "higher"] | None
    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int = 0


class OutcomeTest(Struct, frozen=True, kw_only=True):
    """A test of the outcomes of a window against the held-out rows of the package.

    Attributes:
        name: `calibration`: whether probabilities come true, or numbers err, as they did there, by bins of the answer;
            `outcomes`: whether outcomes are distributed as they were there.
        statistic: Chi-square statistic.
        degrees: Its degrees of freedom.
        p_value: Probability of a statistic at least as large if nothing has changed; for one look.
        rows: Points with an outcome.
    """

    name: Literal["calibration", "outcomes"]
    statistic: float
    degrees: int
    p_value: float
    rows: int


class QualityResult(Struct, frozen=True, kw_only=True):
    """How good the answers of a version were in a window.

    Attributes:
        version: Label of the version, e.g. `bikes@3`.
        arm: Arm that answered; None for all together.
        slice: `column=value`; None for all rows.
        window: The window, by the time of the requests.
        rows: Answered rows.
        labelled: Rows with an outcome.
        waiting: Rows without one that may still come.
        overdue: Rows without one that are older than outcomes take.
        is_mature: Whether so many outcomes are known that the metrics may be compared with those of other windows.
        metrics: From outcomes, weighted for those that have not come yet.
        estimated: Expected from the answers alone.
        estimate_error: Estimated minus measured main metric, once enough outcomes are known.
        reference: The same metrics on the held-out rows of the package.
        tests: Tests of the outcomes against the held-out rows.
        notes: What a reader of the numbers has to know.
    """

    version: str
    window: Window
    rows: int
    labelled: int
    waiting: int
    overdue: int
    is_mature: bool
    arm: str | None = None
    slice: str | None = None
    metrics: tuple[MetricEstimate, ...] = ()
    estimated: tuple[MetricEstimate, ...] = ()
    estimate_error: float | None = None
    reference: tuple[MetricEstimate, ...] = ()
    tests: tuple[OutcomeTest, ...] = ()
    notes: tuple[str, ...] = ()


class TimelineEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to a model.

    Attributes:
        time: Unix seconds.
        kind: What.
        text: One line.
        version: Number of the version.
    """

    time: float
    kind: EventKind
    text: str
    version: int | None = None


class ErrorChange(Struct, frozen=True, kw_only=True):
    """A rise of the mean error of a version, found row by row.

    Attributes:
        time: Of the request at which it is placed, Unix seconds.
        row: Number of that row among those with an outcome that were looked at, from 1.
        rows: Rows from there to the one that gave the alarm.
        before: Mean error of the rows before, since the last change: share of wrong classes, or absolute error.
        after: Mean error of `rows`.
        detected: Time of the request that gave the alarm, Unix seconds.
        known: When its outcome counted, Unix seconds: late outcomes are waited for.
    """

    time: float
    row: int
    rows: int
    before: float
    after: float
    detected: float
    known: float


class ContractFinding(Struct, frozen=True, kw_only=True):
    """A rule of the data contract that requests of a window violate.

    Attributes:
        window: The window.
        rule: The rule, in words.
        column: Column; None for rules of whole tables.
        rows: Rows that were checked.
        violations: Rows that violate it.
    """

    window: Window
    rule: str
    column: str | None
    rows: int
    violations: int


class Cause(Struct, frozen=True, kw_only=True):
    """A column or slice that has moved, and how much the model depends on it.

    Attributes:
        name: Column, or `column=value`.
        kind: Which of the two.
        drift: Size of the change: PSI of a column, share of all rows gained or lost of a slice.
        importance: Share of the model's skill that rests on it; None if unknown.
        score: What causes are sorted by: drift beyond chance, weighted by importance.
        text: One line.
    """

    name: str
    kind: Literal["column", "slice"]
    drift: float
    importance: float | None
    score: float
    text: str


class VersionReport(Struct, frozen=True, kw_only=True):
    """One version over the window that is judged.

    Attributes:
        label: `NAME@3`, or name and digest of the folder of a package.
        version: Number in the registry; None for a folder.
        digest: Digest of the package.
        requests: Answered requests.
        rows: Answered rows.
        degraded: Requests that a fallback answered.
        latency_ms_p50: Median latency, in milliseconds.
        latency_ms_p99: 99 % quantile.
        drift: Drift of its requests and answers; None without a reference.
        slices: Drift within slices, by `column=value`.
        quality: Quality, of all rows first, then by arm and slice.
        causes: What moved, the likeliest cause first.
        error_changes: Rises of its error over the history, in the order of time.
        notes: What could not be computed, and why.
    """

    label: str
    version: int | None
    digest: str
    requests: int
    rows: int
    degraded: int = 0
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    drift: DriftResult | None = None
    slices: dict[str, DriftResult] = {}
    quality: tuple[QualityResult, ...] = ()
    causes: tuple[Cause, ...] = ()
    error_changes: tuple[ErrorChange, ...] = ()
    notes: tuple[str, ...] = ()


class WindowPoint(Struct, frozen=True, kw_only=True):
    """One version in one window of the history.

    Attributes:
        window: The window.
        label: Label of the version.
        requests: Answered requests.
        rows: Answered rows.
        drifted: Columns that drifted; None if it was not judged.
        psi: PSI of each monitored column.
        psi_expected: What an undrifted window of this size exceeds in 5 of 100 cases, by column.
        missing: Share of missing values of each column that has any.
        quality: Quality of all rows; None if there is nothing to say.
    """

    window: Window
    label: str
    requests: int
    rows: int
    drifted: tuple[str, ...] | None = None
    psi: dict[str, float] = {}
    psi_expected: dict[str, float] = {}
    missing: dict[str, float] = {}
    quality: QualityResult | None = None


class AlertState(Struct, frozen=True, kw_only=True):
    """An alert rule for one set of labels.

    Attributes:
        rule: Name of the rule.
        severity: As the rule says.
        status: Whether it holds.
        labels: What it holds for.
        value: Last value of its metric; None if it is absent.
        since: When the status began, Unix seconds.
        text: One line.
        silenced: Reason of the silence that covers it, and whose it is; None if it is sent.
        fired: When it began to fire, Unix seconds; None while it is pending.
        annotations: Further texts of the rule.
        num_sent: How often it was sent.
    """

    rule: str
    severity: str
    status: AlertStatus
    labels: dict[str, str]
    value: float | None
    since: float
    text: str
    silenced: str | None = None
    fired: float | None = None
    annotations: dict[str, str] = {}
    num_sent: int = 0


class MonitorReport(Struct, frozen=True, kw_only=True):
    """Report of one model.

    Attributes:
        model: Name of the model in the journal.
        journal: Address of the journal, without its password.
        made: When the report was made, Unix seconds.
        window: What is judged.
        every_seconds: Length of the windows of the history.
        versions: Versions that answered in the window, the one with most rows first.
        history: By window and version, in the order of time.
        contract: Violations of the data contract, by window.
        events: What happened to the model, in the order of time.
        alerts: Alerts that are not inactive.
        last_answer: When the model answered last, Unix seconds; None if never.
        notes: What was left out, and why.
        schema_version: Version of this format.
    """

    model: str
    journal: str
    made: float
    window: Window
    every_seconds: float
    versions: tuple[VersionReport, ...] = ()
    history: tuple[WindowPoint, ...] = ()
    contract: tuple[ContractFinding, ...] = ()
    events: tuple[TimelineEvent, ...] = ()
    alerts: tuple[AlertState, ...] = ()
    last_answer: float | None = None
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


class MetricSample(Struct, frozen=True, kw_only=True):
    """A number of a report, by name.

    Attributes:
        name: One of `report/metric_names.py`.
        labels: What it is a number of, e.g. `{"model": "bikes", "column": "temp"}`.
        value: The number.
        time: End of its window, Unix seconds.
    """

    name: str
    labels: dict[str, str]
    value: float
    time: float
