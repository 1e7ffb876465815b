"""RequestReport: what is said of each answered prediction in metrics, logs and traces."""

import time

from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.request_head import RequestHead
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.observability.logs import log_answer
from lightning_app.serving.observability.trace_context import TraceContext, take_trace
from lightning_app.serving.observability.traced_request import Phase, TracedRequest
from lightning_app.serving.routing.served_model import Arm

_OF_CLIENTS = (400, 401, 403, 404, 405, 409, 411, 413, 415, 429)
"""Refusals that say nothing of the arm. 422 may: a version that reads other columns refuses what the others answer."""
_NOT_ITS_OWN = (None, "store", "store_defaults")
"""Reasons of degraded answers that are no failures of the arm."""
_OF_SERVER = ("journal_down", "sessions_busy", "store_down")
"""Refusals that are no failure of the arm."""


class RequestReport:
    """Reports answered predictions.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._metrics = state.metrics
        self._arms = state.arm_counter
        self._spans = state.spans
        self._sample = state.config.otlp_sample if state.spans is not None else 0.0

    def trace(self, head: RequestHead) -> TraceContext | None:
        """The trace of a request; None if neither client nor server traces.

        Args:
            head: Headers of the request.
        """
        if head.traceparent is None and self._spans is None:
            return None
        return take_trace(head.traceparent, head.tracestate, sample=self._sample)

    def answered(
        self,
        status: int,
        request_id: str,
        arm: Arm | None,
        *,
        num_rows: int,
        started: float,
        route: str,
        trace: TraceContext | None,
        phases: list[Phase],
        key_id: str | None,
        degraded: str | None,
        is_repeated: bool,
        refusal: HttpError | None,
        error: BaseException | None,
    ) -> None:
        """Reports one answer, just before it is sent.

        Args:
            status: HTTP status.
            request_id: Id of the request.
            arm: Arm that was chosen; None if the request was refused before.
            num_rows: Rows that were answered.
            started: When the request arrived, by `time.perf_counter`.
            route: Method and path of the route, without the name of the model.
            trace: Trace of the request.
            phases: Steps of the request, if it is recorded.
            key_id: Id of the API key.
            degraded: Why another than the arm answered.
            is_repeated: Whether the answer is that which was given to this id before; it is not counted again.
            refusal: What is answered instead of predictions.
            error: Defect of the server.
        """
        now = time.perf_counter()
        model, version, name = (None, None, None) if arm is None else (arm.model.name, arm.model.version, arm.name)
        if model is None or name is None:
            self._metrics.refused(status)
        else:
            self._metrics.model(name=model, version=version, arm=name).observe(status, now - started, num_rows)
        if arm is not None and arm.experiment is not None and not is_repeated and status not in _OF_CLIENTS:
            failed = degraded not in _NOT_ITS_OWN or (refusal is not None and refusal.code not in _OF_SERVER)
            self._arms.count(arm, seconds=now - started, failed=failed, degraded=degraded is not None)
        log_answer(
            status=status,
            request_id=request_id,
            model=model,
            version=version,
            arm=name,
            num_rows=num_rows,
            seconds=now - started,
            key_id=key_id,
            trace_id=None if trace is None else trace.trace_id,
            code=None if refusal is None else refusal.code,
            error=error,
        )
        if trace is not None and self._spans is not None:
            facts = {"model": model, "version": version, "arm": name, "request_id": request_id, "rows": num_rows}
            self._spans.answered(
                TracedRequest(
                    trace=trace, route=route, status=status, start=started, end=now, phases=phases, facts=facts
                )
            )


def trace_headers(trace: TraceContext) -> list[tuple[bytes, bytes]]:
    """Headers that tell a client the trace of its request.

    Args:
        trace: The trace.
    """
    headers = [(b"traceparent", trace.traceparent.encode())]
    if trace.tracestate:
        headers.append((b"tracestate", trace.tracestate.encode()))
    return headers
