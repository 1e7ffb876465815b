"""OpenTelemetry export: spans of answered requests, sent in batches to a collector (extra `otel`)."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from lightning_app.serving.observability.otlp_endpoint import traces_address
from lightning_app.serving.observability.trace_context import TraceContext, new_span_id
from lightning_app.serving.observability.traced_request import Phase, TracedRequest
from lightning_app.version import __version__

_log = logging.getLogger("lightning_app.serving")
_MOST_WAITING = 4096
_BATCH = 256
_SECONDS = 2.0


class SpanExport:
    """Spans of sampled requests on their way to a collector.

    The event loop only notes what was answered; a thread makes the spans and sends them. The SDK's
    `BatchSpanProcessor` takes finished spans, and making them costs as much as the rest of a request. While the
    collector is down, the oldest requests are dropped and serving goes on.

    Args:
        endpoint: Address of the collector, see `traces_address`.
        process: Name of this process.
        on_dropped: Called, by the thread, with a number of requests whose spans were not sent.

    Raises:
        UsageError: The address is none.
    """

    def __init__(self, *, endpoint: str, process: str, on_dropped: Callable[[int], None] | None = None) -> None:
        self._exporter = OTLPSpanExporter(traces_address(endpoint))
        ours = {"service.name": "lightning-app", "service.version": __version__, "service.instance.id": process}
        # Resource.create would let ours win over $OTEL_SERVICE_NAME and $OTEL_RESOURCE_ATTRIBUTES.
        self._resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
        self._scope = InstrumentationScope("lightning_app.serving", __version__)
        self._on_dropped = on_dropped
        self._waiting: deque[TracedRequest] = deque(maxlen=_MOST_WAITING)
        self._wake = threading.Event()
        self._num_pushed_out = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def answered(self, request: TracedRequest) -> None:
        """Queues the spans of one request, if its trace is sampled.

        Args:
            request: The request.
        """
        if not request.trace.is_sampled:
            return
        waiting = self._waiting
        if len(waiting) == _MOST_WAITING:
            self._num_pushed_out += 1
        waiting.append(request)
        if len(waiting) == _BATCH:
            self._wake.set()

    def close(self, *, seconds: float = 2.0) -> None:
        """Sends what waits; a collector that is down is given up.

        Args:
            seconds: How long it may take.
        """
        self._is_closing = True
        self._wake.set()
        self._thread.join(seconds)
        self._exporter.shutdown()

    def _run(self) -> None:
        num_told = 0
        while not self._is_closing or self._waiting:
            self._wake.wait(0.0 if self._is_closing else _SECONDS)
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                is_sent = self._is_sent(batch)
                num_pushed_out = self._num_pushed_out
                num_dropped = num_pushed_out - num_told + (0 if is_sent else len(batch))
                num_told = num_pushed_out
                if num_dropped and self._on_dropped is not None:
                    self._on_dropped(num_dropped)

    def _is_sent(self, batch: Sequence[TracedRequest]) -> bool:
        try:
            spans = [span for request in batch for span in self._spans(request)]
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # the thread goes on: the next batch may be taken
            _log.exception("spans of %d requests could not be exported", len(batch))
            return False

    def _spans(self, traced: TracedRequest) -> list[ReadableSpan]:
        trace = traced.trace
        method, _, path = traced.route.partition(" ")
        facts = {
            "http.request.method": method,
            "http.route": path,
            "http.response.status_code": traced.status,
            **{f"lightning_app.{name}": value for name, value in traced.facts.items() if value is not None},
        }
        request = _context(trace, trace.span_id, is_remote=False)
        parent = _context(trace, trace.parent_id, is_remote=True) if trace.parent_id else None
        outcome = Status(StatusCode.ERROR) if traced.status >= 500 else Status()
        whole = (traced.route, traced.start, traced.end)
        spans = [self._span(whole, request, parent, facts, SpanKind.SERVER, outcome)]
        for phase in traced.phases:
            context = _context(trace, new_span_id(), is_remote=False)
            spans.append(self._span(phase, context, request, {}, SpanKind.INTERNAL, Status()))
        return spans

    def _span(
        self,
        phase: Phase,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Mapping[str, str | int],
        kind: SpanKind,
        status: Status,
    ) -> ReadableSpan:
        # Not by a Tracer: it chooses ids itself, while ours has been sent to the client.
        name, start, end = phase
        offset = time.time_ns() - time.perf_counter_ns()
        return ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=status,
            start_time=offset + int(start * 1e9),
            end_time=offset + int(end * 1e9),
            instrumentation_scope=self._scope,
        )


def _context(trace: TraceContext, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16),
        int(span_id, 16),
        is_remote,
        TraceFlags(TraceFlags.SAMPLED if trace.is_sampled else TraceFlags.DEFAULT),
        TraceState.from_header([trace.tracestate]) if trace.tracestate else None,
    )
