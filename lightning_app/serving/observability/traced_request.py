"""Traced request: what the spans of one answered request are made from."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from lightning_app.serving.observability.trace_context import TraceContext

Phase: TypeAlias = tuple[str, float, float]
"""Name, start and end of a step, by `time.perf_counter`."""


class TracedRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One answered request.

    Attributes:
        trace: Trace of the request.
        route: Method and path of the route, e.g. `POST /models/{name}/predict`.
        status: HTTP status of the answer.
        start: When the request arrived, by `time.perf_counter`.
        end: When it was answered.
        phases: What was done in between: queue, inference, journal commit.
        facts: Model, version, arm, request id and so on; None is left out.
    """

    trace: TraceContext
    route: str
    status: int
    start: float
    end: float
    phases: Sequence[Phase]
    facts: Mapping[str, str | int | None]
