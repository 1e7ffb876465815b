"""Metrics of a stream: events by result, lag, batches, messages."""

from collections.abc import Mapping
from typing import Literal

from lightning_app.serving.observability.metric_files import MetricFiles
from lightning_app.serving.observability.metric_names import ROWS, SECONDS

_AGES = (*SECONDS, 60.0, 600.0, 3600.0, 86_400.0)


class StreamMetrics:
    """Metrics of one worker of a stream.

    Args:
        files: Files of the worker.
        name: Name of the stream.

    Attributes:
        batch_events: Events of one transaction.
        age_seconds: From when the oldest event of a batch was written until it was answered.
        outbox: Messages that the sink has not acknowledged yet.
        acknowledged: Messages that it has.
        failed: Messages that it never will.
        rebalances: Times that partitions came or went.
        paused: 1 while the worker waits for something that fails.
    """

    def __init__(self, files: MetricFiles, *, name: str) -> None:
        self._files, self._labels = files, {"stream": name}
        self.batch_events = files.histogram("lightning_app_stream_batch_events", self._labels, bounds=ROWS)
        self.age_seconds = files.histogram("lightning_app_stream_event_age_seconds", self._labels, bounds=_AGES)
        self.outbox = files.gauge("lightning_app_stream_outbox_messages", self._labels, over_workers="sum")
        self.paused = files.gauge("lightning_app_stream_paused", self._labels, over_workers="max")
        self.rebalances = files.counter("lightning_app_stream_rebalances", self._labels)
        messages = "lightning_app_stream_messages"
        self.acknowledged = files.counter(messages, {**self._labels, "result": "acknowledged"})
        self.failed = files.counter(messages, {**self._labels, "result": "failed"})
        self._partitions: set[str] = set()

    def events(self, result: Literal["answered", "dead_letter", "repeated", "lost"], number: int) -> None:
        """Counts events.

        Args:
            result: What became of them.
            number: How many.
        """
        if number:
            self._files.counter("lightning_app_stream_events", {**self._labels, "result": result}).add(number)

    def lag(self, lags: Mapping[str, int]) -> None:
        """Says how many events wait; partitions that went away have none.

        Args:
            lags: By partition.
        """
        for partition in self._partitions | lags.keys():
            labels = {**self._labels, "partition": partition}
            gauge = self._files.gauge("lightning_app_stream_lag_events", labels, over_workers="sum")
            gauge.set(lags.get(partition, 0))
        self._partitions |= lags.keys()
