"""OpenTelemetry export: spans of answered requests, sent in batches to a collector (extra `otel`)."""

import threading
import time
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from lightning_app.serving.observability.otlp_endpoint import traces_address
from lightning_app.serving.observability.trace_context import TraceContext, new_span_id
from lightning_app.version import __version__

Phase = tuple[str, float, float]


class SpanExport:
    """Spans of sampled requests on their way to a collector.

    Spans wait in a bounded queue and are sent by a thread of its own: while the collector is down, the oldest are
    dropped and serving goes on.

    Args:
        endpoint: Address of the collector, see `traces_address`.
        process: Name of this process.

    Raises:
        UsageError: The address is none.
    """

    def __init__(self, *, endpoint: str, process: str) -> None:
        self._processor = BatchSpanProcessor(OTLPSpanExporter(traces_address(endpoint)))
        ours = {"service.name": "lightning-app", "service.version": __version__, "service.instance.id": process}
        # Resource.create would let ours win over $OTEL_SERVICE_NAME and $OTEL_RESOURCE_ATTRIBUTES.
        self._resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
        self._scope = InstrumentationScope("lightning_app.serving", __version__)

    def answered(
        self,
        trace: TraceContext,
        *,
        route: str,
        status: int,
        start: float,
        end: float,
        phases: Sequence[Phase],
        attributes: Mapping[str, str | int],
    ) -> None:
        """Queues the spans of one request, if its trace is sampled.

        Args:
            trace: Trace of the request.
            route: Method and path of the route, e.g. `POST /models/{name}/predict`.
            status: HTTP status of the answer.
            start: When the request arrived, by `time.perf_counter`.
            end: When it was answered.
            phases: Name, start and end of what was done in between: queue, inference, journal commit.
            attributes: Further facts: model, version, arm, request id.
        """
        if not trace.is_sampled:
            return
        method, _, path = route.partition(" ")
        facts = {
            "http.request.method": method,
            "http.route": path,
            "http.response.status_code": status,
            **{f"lightning_app.{name}": value for name, value in attributes.items()},
        }
        request = _context(trace, trace.span_id, is_remote=False)
        parent = _context(trace, trace.parent_id, is_remote=True) if trace.parent_id else None
        outcome = Status(StatusCode.ERROR) if status >= 500 else Status()
        self._queue((route, start, end), request, parent, facts, SpanKind.SERVER, outcome)
        for phase in phases:
            context = _context(trace, new_span_id(), is_remote=False)
            self._queue(phase, context, request, {}, SpanKind.INTERNAL, Status())

    def close(self, *, seconds: float = 2.0) -> None:
        """Sends what waits; a collector that is down is given up.

        Args:
            seconds: How long it may take.
        """
        # The processor's own limit is 30 s, and fixed.
        closing = threading.Thread(target=self._processor.shutdown, name="close spans", daemon=True)
        closing.start()
        closing.join(seconds)

    def _queue(
        self,
        phase: Phase,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Mapping[str, str | int],
        kind: SpanKind,
        status: Status,
    ) -> None:
        # Not by a Tracer: it chooses ids itself, while ours has been sent to the client.
        name, start, end = phase
        offset = time.time_ns() - time.perf_counter_ns()
        self._processor.on_end(
            ReadableSpan(
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
        )


def _context(trace: TraceContext, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16),
        int(span_id, 16),
        is_remote,
        TraceFlags(TraceFlags.SAMPLED if trace.is_sampled else TraceFlags.DEFAULT),
        TraceState.from_header([trace.tracestate]) if trace.tracestate else None,
    )
