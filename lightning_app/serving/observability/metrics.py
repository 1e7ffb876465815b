"""Metrics of a server: what each worker counts, and the sum over all workers that Prometheus reads."""

import os
import platform
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from prometheus_client import Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from lightning_app.serving.observability.metric_files import Cell, MetricFiles
from lightning_app.serving.observability.metric_names import HELP, ROWS, SECONDS
from lightning_app.serving.observability.snapshot import Snapshot, TrafficHistory
from lightning_app.serving.observability.stream_metrics import StreamMetrics
from lightning_app.serving.observability.worker_processes import process_metrics
from lightning_app.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Metrics of one worker, beside the files of the others.

    A worker that is started again under the same name continues its counters. Each value is changed by one thread:
    those of the journal by the journal's, all others by the event loop's.

    Args:
        folder: Folder that all workers share; is created.
        worker: Name of the worker, unique among the live ones and without an underscore, e.g. its index.

    Attributes:
        in_flight: Requests that are being answered.
        log_lines_dropped: Lines that the log could not write.
        spans_dropped: Requests whose spans were not sent.
    """

    def __init__(self, *, folder: str | Path, worker: str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files = files = MetricFiles(folder=self._folder, worker=worker, help_texts=HELP)
        self._history = TrafficHistory()
        self._models: dict[tuple[str, int | None, str], ModelMetrics] = {}
        self._shadows: dict[str, ShadowMetrics] = {}
        self.in_flight = files.gauge("lightning_app_in_flight_requests", {}, over_workers="sum")
        self.log_lines_dropped = files.counter("lightning_app_log_lines_dropped", {})
        self.spans_dropped = files.counter("lightning_app_traced_requests_dropped", {})
        files.counter("lightning_app_worker_starts", {}).add()
        files.gauge("lightning_app_start_time_seconds", {}, over_workers="min").set(time.time())
        files.gauge("lightning_app_worker_process", {"worker": worker}, over_workers="max").set(os.getpid())
        build = {"version": __version__, "python_version": platform.python_version()}
        files.gauge("lightning_app_build_info", build, over_workers="max").set(1)

    @cached_property
    def registry_reachable(self) -> Cell:
        """1 or 0; exposed once it is known."""
        return self._files.gauge("lightning_app_registry_reachable", {}, over_workers="min")

    @cached_property
    def journal(self) -> "JournalMetrics":
        """Metrics of the journal; exposed once there is one."""
        return JournalMetrics(self._files)

    def stream(self, name: str) -> "StreamMetrics":
        """Metrics of a stream that this worker answers.

        Args:
            name: Name of the stream.
        """
        return StreamMetrics(self._files, name=name)

    def ready(self) -> None:
        """Says that the worker answers requests."""
        self._files.gauge("lightning_app_workers", {}, over_workers="sum").set(1)

    def model(self, *, name: str, version: int | None, arm: str) -> "ModelMetrics":
        """Metrics of one version of a model under one arm; the same object for the same names.

        Args:
            name: Name of the model in addresses; one that is served, never what a client sent.
            version: Version in the registry; None for the folder of a package.
            arm: Arm that answers.
        """
        key = (name, version, arm)
        if key not in self._models:
            self._models[key] = ModelMetrics(self._files, name=name, version=_text(version), arm=arm)
        return self._models[key]

    def refused(self, status: int) -> None:
        """Counts a request that was answered before its model was known.

        Args:
            status: HTTP status of the answer.
        """
        labels = {"model": "", "version": "", "arm": "", "code": str(status)}
        self._files.counter("lightning_app_requests", labels).add()

    def served(self, *, name: str, version: int | None, digest: str, is_served: bool = True) -> None:
        """Says that a version is served, or no longer.

        Args:
            name: Name of the model in addresses.
            version: Version in the registry; None for the folder of a package.
            digest: sha256 of the package's manifest.
            is_served: False once it has been replaced.
        """
        labels = {"model": name, "version": _text(version), "digest": digest}
        self._files.gauge("lightning_app_model_info", labels, over_workers="max").set(float(is_served))

    def reloaded(self, *, name: str, result: Literal["loaded", "failed"]) -> None:
        """Counts a version that was to be loaded while the server runs."""
        self._files.counter("lightning_app_reloads", {"model": name, "result": result}).add()

    def version_refused(self, *, name: str, is_refused: bool) -> None:
        """Says whether the alias of a model points to a version that is not served."""
        self._files.gauge("lightning_app_version_refused", {"model": name}, over_workers="max").set(float(is_refused))

    def shadow(self, name: str) -> "ShadowMetrics":
        """Metrics of the shadow of a model; the same object for the same name.

        Args:
            name: Name of the model in addresses.
        """
        if name not in self._shadows:
            self._shadows[name] = ShadowMetrics(self._files, name)
        return self._shadows[name]

    def sessions(self, *, name: str, number: int) -> None:
        """Says how many streams of a model the server keeps the state of; all workers share them."""
        self._files.gauge("lightning_app_sessions", {"model": name}, over_workers="max").set(number)

    def breaker(self, *, name: str, version: int | None, arm: str, state: int) -> None:
        """Says whether an arm is asked: 0 closed, 1 half-open, 2 open; the worst worker counts."""
        labels = {"model": name, "version": _text(version), "arm": arm}
        self._files.gauge("lightning_app_breaker_state", labels, over_workers="max").set(state)

    def degraded(self, *, name: str, arm: str, reason: str) -> None:
        """Counts an answer that is not that of the arm that was chosen."""
        self._files.counter("lightning_app_degraded", {"model": name, "arm": arm, "reason": reason}).add()

    def replaced_values(self, *, name: str, column: str, what: str, number: int) -> None:
        """Counts values that a linear bandit took as something else."""
        self._files.counter("lightning_app_replaced_values", {"model": name, "column": column, "what": what}).add(
            number
        )

    def hang(self, *, name: str, version: int | None) -> None:
        """Counts a call that did not end and was given up."""
        self._files.counter("lightning_app_hanging_calls", {"model": name, "version": _text(version)}).add()

    def feedback(
        self,
        status: Literal["stored", "unknown", "same", "conflict", "spilled", "expired", "out_of_range", "no_such_row"],
    ) -> None:
        """Counts an outcome or reward."""
        self._files.counter("lightning_app_feedback", {"status": status}).add()

    def key_refused(self, reason: Literal["missing", "unknown", "scope", "rate"]) -> None:
        """Counts a request that was refused for its API key."""
        self._files.counter("lightning_app_keys_refused", {"reason": reason}).add()

    def exposition(self) -> bytes:
        """Metrics of all workers in Prometheus' text format, of media type `CONTENT_TYPE`."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Metrics of all workers."""
        for metric in MultiProcessCollector(None, path=str(self._folder)).collect():
            if metric.name == "lightning_app_model_info":  # files forget nothing: 0 is a version that was replaced
                metric.samples = [sample for sample in metric.samples if sample.value]
            if metric.name == "lightning_app_worker_process":
                yield from process_metrics({each.labels["worker"]: int(each.value) for each in metric.samples})
            else:
                yield metric

    def snapshot(self) -> Snapshot:
        """Traffic and state of the server over all workers, for its page."""
        return self._history.snapshot(self.collect())

    def close(self) -> None:
        """Closes the files."""
        self._files.close()


class ModelMetrics:
    """Metrics of one version of a model under one arm.

    Attributes:
        queue_seconds: Time that the first request of a batch waited for it.
        queued: Requests of the model that still waited when the last batch was taken; set.
        cache_hits: Requests that the cache answered.
        cache_misses: Requests that it could not answer.
    """

    __slots__ = (
        "_batch_rows",
        "_codes",
        "_duration",
        "_files",
        "_inference_seconds",
        "_labels",
        "_rows",
        "cache_hits",
        "cache_misses",
        "queue_seconds",
        "queued",
    )

    def __init__(self, files: MetricFiles, *, name: str, version: str, arm: str) -> None:
        self._files = files
        self._labels = labels = {"model": name, "version": version, "arm": arm}
        self._codes = {200: files.counter("lightning_app_requests", {**labels, "code": "200"})}
        self._duration = files.histogram("lightning_app_request_duration_seconds", labels, bounds=SECONDS)
        self._rows = files.counter("lightning_app_rows", labels)
        version_labels = {"model": name, "version": version}
        self._batch_rows = files.histogram("lightning_app_batch_rows", version_labels, bounds=ROWS)
        self._inference_seconds = files.histogram("lightning_app_inference_seconds", version_labels, bounds=SECONDS)
        self.queue_seconds = files.histogram("lightning_app_queue_seconds", {"model": name}, bounds=SECONDS)
        self.queued = files.gauge("lightning_app_queued_requests", {"model": name}, over_workers="sum")
        self.cache_hits = files.counter("lightning_app_cache_requests", {"model": name, "result": "hit"})
        self.cache_misses = files.counter("lightning_app_cache_requests", {"model": name, "result": "miss"})

    def observe(self, status: int, seconds: float, rows: int) -> None:
        """Counts one answered request; costs a microsecond.

        Args:
            status: HTTP status of the answer.
            seconds: From the arrival of the request to its answer.
            rows: Rows that were answered; 0 if the request was refused.
        """
        code = self._codes.get(status)
        if code is None:
            labels = {**self._labels, "code": str(status)}
            code = self._codes[status] = self._files.counter("lightning_app_requests", labels)
        code.add(1.0)
        self._duration.observe(seconds)
        self._rows.add(rows)

    def batch(self, *, rows: int, seconds: float) -> None:
        """Counts one call of the model.

        Args:
            rows: Rows of the call.
            seconds: Duration of the call.
        """
        self._batch_rows.observe(rows)
        self._inference_seconds.observe(seconds)


ShadowResult: TypeAlias = Literal["answered", "failed", "left_out", "stateful"]


class ShadowMetrics:
    """Metrics of the shadow of one model.

    Args:
        files: Files of the worker.
        name: Name of the model in addresses.
    """

    def __init__(self, files: MetricFiles, name: str) -> None:
        self._requests = {
            result: files.counter("lightning_app_shadow_requests", {"model": name, "result": result})
            for result in get_args(ShadowResult)
        }
        self._seconds = files.histogram("lightning_app_shadow_duration_seconds", {"model": name}, bounds=SECONDS)
        self._agreeing, self._others = (
            files.counter("lightning_app_shadow_rows", {"model": name, "agrees": agrees}) for agrees in ("yes", "no")
        )

    def asked(self, result: ShadowResult, seconds: float | None = None) -> None:
        """Counts a request that the shadow was to be asked.

        Args:
            result: What came of it.
            seconds: How long it took; None if it was not asked.
        """
        self._requests[result].add()
        if seconds is not None:
            self._seconds.observe(seconds)

    def compared(self, *, rows: int, agreeing: int) -> None:
        """Counts rows that the shadow answered.

        Args:
            rows: The rows.
            agreeing: Those in which it agreed with what the client got.
        """
        self._agreeing.add(agreeing)
        self._others.add(rows - agreeing)


class JournalMetrics:
    """Metrics of the journal in one worker.

    Attributes:
        commit_seconds: Duration of one commit.
        up: 1 if the last commit succeeded.
        written: Predictions written to the journal.
        spilled: Predictions written to spill files.
        pending: Records in the spill folder that are not yet in the journal; all workers say the same.
        shadows: Answers of shadows that were written.
        lost_shadows: Answers of shadows that were not.
    """

    def __init__(self, files: MetricFiles) -> None:
        self.commit_seconds = files.histogram("lightning_app_journal_commit_seconds", {}, bounds=SECONDS)
        self.up = files.gauge("lightning_app_journal_up", {}, over_workers="min")
        self.up.set(1)
        self.written = files.counter("lightning_app_journal_predictions", {"target": "journal"})
        self.spilled = files.counter("lightning_app_journal_predictions", {"target": "spill"})
        self.pending = files.gauge("lightning_app_journal_pending_predictions", {}, over_workers="max")
        self.shadows = files.counter("lightning_app_journal_shadows", {"result": "written"})
        self.lost_shadows = files.counter("lightning_app_journal_shadows", {"result": "lost"})


def _text(version: int | None) -> str:
    return "" if version is None else str(version)
