"""Progress: what a worker of a stream has done, in its metrics and in a line of its log."""

import logging
import time

from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.stream.answering.answering import Answers
from lightning_app.serving.stream.answering.commit import Totals
from lightning_app.serving.stream.event import Event
from lightning_app.serving.stream.sinks.delivery import Delivery
from lightning_app.serving.stream.sources.protocol import Source

_log = logging.getLogger("lightning_app.serving.stream")
_LINE_SECONDS = 10.0


class Progress:
    """Counts of one worker.

    Args:
        metrics: Metrics of the worker.
        stream: Name of the stream.
        source: Where its events come from.
        delivery: Its outbox.

    Attributes:
        totals: Counts since the process started.
        lags: Events that wait by partition; None as long as that is not known.
    """

    def __init__(self, metrics: Metrics, *, stream: str, source: Source, delivery: Delivery) -> None:
        self.totals = Totals()
        self.lags: dict[str, int] | None = None
        self._metrics, self._stream = metrics, stream
        self._of_stream = metrics.stream(stream)
        self._source, self._delivery = source, delivery
        self._rebalances = self._lost = self._acknowledged = self._failed = 0
        self._said = Totals()
        self._next_line = time.monotonic() + _LINE_SECONDS

    def done(self, events: list[Event], answers: Answers, *, num_letters: int, model: LoadedModel) -> None:
        """Counts a batch that was committed.

        Args:
            events: Its events.
            answers: Its answers.
            num_letters: Its dead letters.
            model: The version that answered.
        """
        totals, answered = self.totals, answers.answered
        repeated = len(events) - len(answered) - num_letters
        rows = sum(one.request.num_rows for one in answered)
        totals.events += len(events)
        totals.answered += len(answered)
        totals.dead += num_letters
        totals.repeated += repeated
        totals.rows += rows
        self._of_stream.events("answered", len(answered))
        self._of_stream.events("dead_letter", num_letters)
        self._of_stream.events("repeated", repeated)
        self._of_stream.batch_events.observe(len(events))
        if oldest := min((event.time for event in events if event.time), default=0.0):
            self._of_stream.age_seconds.observe(max(0.0, time.time() - oldest))
        of_model = self._metrics.model(name=model.name, version=model.version, arm="champion")
        for one in answered:
            of_model.observe(200, one.seconds, one.request.num_rows)
        for _ in range(num_letters):
            of_model.observe(422, 0.0, 0)
        if answers.num_started_anew:
            _log.warning("the state of %d keys was of another version, and begins anew", answers.num_started_anew)

    def called(self, model: LoadedModel, rows: int, seconds: float) -> None:
        """Counts a call of a model.

        Args:
            model: The version.
            rows: Rows of the call.
            seconds: Duration of the call.
        """
        self._metrics.model(name=model.name, version=model.version, arm="champion").batch(rows=rows, seconds=seconds)

    def lost(self, number: int) -> None:
        """Counts events that another worker has taken.

        Args:
            number: How many.
        """
        self.totals.lost += number
        self._of_stream.events("lost", number)

    def paused(self, is_paused: bool) -> None:
        """Says whether the worker waits for something that fails."""
        self._of_stream.paused.set(float(is_paused))

    def update(self) -> None:
        """Copies what source and sinks count, and logs a line now and then."""
        source, delivery, metrics = self._source, self._delivery, self._of_stream
        self.lags = source.lag()
        if self.lags is not None:
            metrics.lag(self.lags)
        metrics.outbox.set(delivery.in_flight)
        metrics.acknowledged.add(delivery.acknowledged - self._acknowledged)
        metrics.failed.add(delivery.failed - self._failed)
        metrics.rebalances.add(source.rebalances - self._rebalances)
        metrics.events("lost", source.lost - self._lost)
        self._acknowledged, self._failed = delivery.acknowledged, delivery.failed
        self._rebalances, self._lost = source.rebalances, source.lost
        now = time.monotonic()
        if now >= self._next_line:
            if self.totals != self._said or (self.lags and any(self.lags.values())):
                _log.info("progress", extra={"facts": self.facts()})
            self._said = Totals(*(getattr(self.totals, name) for name in Totals.__struct_fields__))
            self._next_line = now + _LINE_SECONDS

    def facts(self) -> dict[str, object]:
        """Counts, lag and messages that are under way."""
        counts = {name: getattr(self.totals, name) for name in Totals.__struct_fields__}
        lag = None if self.lags is None else sum(self.lags.values())
        return {"stream": self._stream, **counts, "lag": lag, "outbox": self._delivery.in_flight}
