"""Traffic of a server for its page: requests, errors and latency by model and version, over all workers."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.samples import Sample

Arm = tuple[str, str, str]
RECENT_SECONDS = 60.0


class Traffic(Struct, frozen=True, kw_only=True):
    """What was answered within some time.

    Attributes:
        seconds: Length of the time.
        requests: Answered requests.
        per_second: Requests per second.
        rows: Answered rows.
        refused: Requests answered with a status from 400 to 499.
        failed: Requests answered with a status of 500 or more.
        codes: Requests by status.
        mean_ms: Mean latency, in milliseconds; None without requests, like the percentiles.
        p50_ms: Median latency, interpolated within a bucket of the histogram.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
    """

    seconds: float
    requests: int
    per_second: float
    rows: int
    refused: int
    failed: int
    codes: dict[str, int]
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class ModelTraffic(Struct, frozen=True, kw_only=True):
    """Traffic of one version of a model under one arm.

    Attributes:
        model: Name of the model; empty for requests that were refused before it was known.
        version: Version in the registry; None for the folder of a package.
        arm: Arm that answered.
        total: Since the server was started.
        recent: Of about the last minute; None until this has been asked twice.
    """

    model: str
    version: int | None
    arm: str
    total: Traffic
    recent: Traffic | None


class ShadowTraffic(Struct, kw_only=True):
    """Requests that the shadow of a model was to be asked.

    Attributes:
        answered: Requests that it answered.
        failed: Requests that it did not answer.
        left_out: Requests for which it was too slow.
        stateful: Requests of streams, which it is not asked.
        rows: Rows that it answered.
        agreeing: Rows of these in which it agreed with the answer.
    """

    answered: int = 0
    failed: int = 0
    left_out: int = 0
    stateful: int = 0
    rows: int = 0
    agreeing: int = 0


class Snapshot(Struct, frozen=True, kw_only=True):
    """State of a server.

    Attributes:
        time: When it was taken, Unix seconds.
        started: When the oldest live worker started, Unix seconds.
        workers: Workers that answer requests.
        worker_starts: Workers that were started since the server was.
        in_flight: Requests that are being answered.
        queued: Requests that wait for their batch, by model.
        breakers: State of the breakers by model and arm: 0 closed, 1 half-open, 2 open.
        registry_reachable: Whether the registry answered.
        journal_up: Whether the last commit succeeded in every worker.
        journal_pending: Predictions in spill files.
        models: Traffic, by model, version and arm.
        shadows: Traffic of shadows, by model.
    """

    time: float
    started: float
    workers: int
    worker_starts: int
    in_flight: int
    queued: dict[str, int]
    breakers: dict[tuple[str, str], int]
    registry_reachable: bool
    journal_up: bool
    journal_pending: int
    models: list[ModelTraffic]
    shadows: dict[str, ShadowTraffic]


class TrafficHistory:
    """Readings of the metrics of about the last minute, one for each time it was asked."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, dict[Arm, _Reading]]] = deque()
        self._changing = Lock()

    def snapshot(self, metrics: Iterable[Metric]) -> Snapshot:
        """State of the server.

        Args:
            metrics: Metrics of all workers.
        """
        now = time.time()
        values = {metric.name: metric.samples for metric in metrics}
        readings: dict[Arm, _Reading] = defaultdict(_Reading)
        for sample in values.get("lightning_app_requests", []):
            readings[_arm(sample.labels)].codes[sample.labels["code"]] += int(sample.value)
        for sample in values.get("lightning_app_rows", []):
            readings[_arm(sample.labels)].rows += int(sample.value)
        for sample in values.get("lightning_app_request_duration_seconds", []):
            reading = readings[_arm(sample.labels)]
            if sample.name.endswith("_bucket"):
                reading.buckets[float(sample.labels["le"])] += int(sample.value)
            elif sample.name.endswith("_sum"):
                reading.seconds += sample.value

        with self._changing:  # pages are made in threads
            while len(self._readings) > 1 and self._readings[1][0] <= now - RECENT_SECONDS:
                self._readings.popleft()
            before = self._readings[0] if self._readings else None
            self._readings.append((now, readings))

        def only(name: str, default: float) -> float:
            return next((sample.value for sample in values.get(name, [])), default)

        started = only("lightning_app_start_time_seconds", now)
        return Snapshot(
            time=now,
            started=started,
            shadows=_shadows(values),
            workers=int(only("lightning_app_workers", 0)),
            worker_starts=int(only("lightning_app_worker_starts", 0)),
            in_flight=int(only("lightning_app_in_flight_requests", 0)),
            queued={
                sample.labels["model"]: int(sample.value) for sample in values.get("lightning_app_queued_requests", [])
            },
            breakers={
                (sample.labels["model"], sample.labels["arm"]): int(sample.value)
                for sample in sorted(values.get("lightning_app_breaker_state", []), key=lambda sample: sample.value)
            },  # the worst version of an arm
            registry_reachable=bool(only("lightning_app_registry_reachable", 1)),
            journal_up=bool(only("lightning_app_journal_up", 1)),
            journal_pending=int(only("lightning_app_journal_pending_predictions", 0)),
            models=[
                ModelTraffic(
                    model=arm[0],
                    version=int(arm[1]) if arm[1] else None,
                    arm=arm[2],
                    total=reading.since(_Reading(), now - started),
                    recent=None if before is None else reading.since(before[1].get(arm, _Reading()), now - before[0]),
                )
                for arm, reading in sorted(readings.items())
            ],
        )


class _Reading:
    """Cumulative counts of one arm."""

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.rows = 0
        self.seconds = 0.0
        self.buckets: Counter[float] = Counter()  # cumulative, by upper bound

    def since(self, earlier: "_Reading", seconds: float) -> Traffic:
        codes = {code: count for code in sorted(self.codes) if (count := self.codes[code] - earlier.codes[code])}
        requests = sum(codes.values())
        bounds = sorted(self.buckets)
        counts = [self.buckets[bound] - earlier.buckets[bound] for bound in bounds]
        timed = counts[-1] if counts else 0
        return Traffic(
            seconds=seconds,
            requests=requests,
            per_second=requests / seconds if seconds > 0 else 0.0,
            rows=self.rows - earlier.rows,
            refused=sum(count for code, count in codes.items() if code.startswith("4")),
            failed=sum(count for code, count in codes.items() if code.startswith("5")),
            codes=codes,
            mean_ms=1000 * (self.seconds - earlier.seconds) / timed if timed else None,
            p50_ms=_percentile_ms(bounds, counts, 0.50),
            p95_ms=_percentile_ms(bounds, counts, 0.95),
            p99_ms=_percentile_ms(bounds, counts, 0.99),
        )


def _percentile_ms(bounds: Sequence[float], cumulative: Sequence[int], share: float) -> float | None:
    """Percentile of a histogram, as Prometheus' `histogram_quantile` computes it."""
    if not cumulative or not cumulative[-1]:
        return None
    rank = share * cumulative[-1]
    index = next(index for index, count in enumerate(cumulative) if count >= rank)
    if index == len(bounds) - 1:  # beyond the last bound there is nothing to interpolate to
        return 1000 * bounds[-2]
    low, below = (bounds[index - 1], cumulative[index - 1]) if index else (0.0, 0)
    return 1000 * (low + (bounds[index] - low) * (rank - below) / (cumulative[index] - below))


def _arm(labels: Mapping[str, str]) -> Arm:
    return labels["model"], labels["version"], labels["arm"]


def _shadows(values: Mapping[str, Sequence[Sample]]) -> dict[str, ShadowTraffic]:
    shadows: defaultdict[str, ShadowTraffic] = defaultdict(ShadowTraffic)
    for sample in values.get("lightning_app_shadow_requests", ()):
        setattr(shadows[sample.labels["model"]], sample.labels["result"], int(sample.value))
    for sample in values.get("lightning_app_shadow_rows", ()):
        shadow = shadows[sample.labels["model"]]
        shadow.rows += int(sample.value)
        shadow.agreeing += int(sample.value) if sample.labels["agrees"] == "yes" else 0
    return dict(shadows)
