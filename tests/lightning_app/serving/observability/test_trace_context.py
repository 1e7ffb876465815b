import pytest

from lightning_app.serving.observability.trace_context import take_trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("traceparent", "is_sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-x", True),
    ],
)
def test_a_trace_is_continued_under_a_new_span(traceparent: str, is_sampled: bool) -> None:
    trace = take_trace(traceparent, None, sample=0)
    assert (trace.trace_id, trace.parent_id, trace.is_sampled) == (TRACE, SPAN, is_sampled)
    assert trace.span_id != SPAN
    assert trace.traceparent == f"00-{TRACE}-{trace.span_id}-{'01' if is_sampled else '00'}"


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "x",
        GOOD.upper(),
        f"{GOOD}-x",  # version 00 has no fifth field
        f"{GOOD} ",
        f"{GOOD}\n",
        f"{GOOD},{GOOD}",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01x",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{'٣' * 32}-{SPAN}-01",
    ],
)
def test_a_malformed_traceparent_starts_a_new_trace_without_state(traceparent: str | None) -> None:
    trace = take_trace(traceparent, "a=1", sample=0)
    assert trace.parent_id is None
    assert trace.trace_id not in (TRACE, "0" * 32)
    assert (trace.is_sampled, trace.tracestate) == (False, "")
    assert take_trace(traceparent, None, sample=1).is_sampled


@pytest.mark.parametrize(
    ("tracestate", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1 , ,t@sys=b c", "a=1,t@sys=b c"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=1=2", ""),
        ("a", ""),
        (",".join(f"k{index}=1" for index in range(33)), ""),
        (",".join(f"k{index}={'v' * 100}" for index in range(9)), ""),
        ("a=é", ""),
    ],
)
def test_tracestate_is_passed_on_or_dropped_as_a_whole(tracestate: str, kept: str) -> None:
    trace = take_trace(GOOD, tracestate, sample=0)
    assert (trace.trace_id, trace.tracestate) == (TRACE, kept)
