"""W3C trace context (www.w3.org/TR/trace-context): `traceparent` and `tracestate`, taken and passed on."""

import re
from random import Random

from msgspec import Struct

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_KEY = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"({_KEY})={_VALUE}")
_MOST_MEMBERS = 32
_MOST_CHARACTERS = 512
_RANDOM = Random()  # of its own: seeding the global one must not repeat ids


class TraceContext(Struct, frozen=True, kw_only=True, gc=False):
    """One request within a trace.

    Attributes:
        trace_id: Id of the trace, 32 hexadecimal digits.
        span_id: Id of what this server does for the request, 16 hexadecimal digits.
        parent_id: Id of what the client does; None if the trace starts here.
        is_sampled: Whether the trace is recorded.
        tracestate: What other systems pass along; may be empty.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    is_sampled: bool
    tracestate: str

    @property
    def traceparent(self) -> str:
        """Header for the answer, and for requests to others."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


def take_trace(traceparent: str | None, tracestate: str | None, *, sample: float) -> TraceContext:
    """The trace of a request: the client's, or a new one if it sent none or a malformed one.

    Args:
        traceparent: Header of the request.
        tracestate: Header of the request; dropped if it is malformed or its trace is not taken.
        sample: Share of new traces that are recorded; 0 where nothing is recorded.
    """
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is not None:
        version, trace_id, parent_id, flags, rest = match.groups()
        # Version 00 ends here, later ones may go on, ff is forbidden; ids of zeros say that there is none.
        if version != "ff" and not (version == "00" and rest) and trace_id.strip("0") and parent_id.strip("0"):
            return TraceContext(
                trace_id=trace_id,
                span_id=new_span_id(),
                parent_id=parent_id,
                is_sampled=bool(int(flags, 16) & 1),
                tracestate=_checked(tracestate) if tracestate else "",
            )
    return TraceContext(
        trace_id=f"{_RANDOM.getrandbits(128) or 1:032x}",
        span_id=new_span_id(),
        parent_id=None,
        is_sampled=sample > 0 and _RANDOM.random() < sample,
        tracestate="",
    )


def new_span_id() -> str:
    """16 hexadecimal digits, not all zero."""
    return f"{_RANDOM.getrandbits(64) or 1:016x}"


def _checked(tracestate: str) -> str:
    """The list of members without empty ones; nothing if one is malformed, twice there, or there are too many."""
    members = [member for member in (part.strip(" \t") for part in tracestate.split(",")) if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match is not None}
    checked = ",".join(members)
    if len(keys) != len(members) or len(members) > _MOST_MEMBERS or len(checked) > _MOST_CHARACTERS:
        return ""
    return checked
