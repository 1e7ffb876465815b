import sys
import time
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.serving.observability.otlp_endpoint import traces_address
from lightning_app.serving.observability.trace_context import take_trace
from lightning_app.serving.observability.traced_request import TracedRequest
from tests.lightning_app.serving.observability.collector import running_collector
from tests.packages import small_package

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_spans_of_a_sampled_request_reach_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "prices")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `otel`")
    from lightning_app.serving.observability.span_export import SpanExport

    with running_collector() as collector:
        export = SpanExport(endpoint=collector.address, process="worker 0")
        trace = take_trace(f"00-{TRACE}-{SPAN}-01", "a=1", sample=1)
        now = time.perf_counter()
        for each in (trace, take_trace(f"00-{TRACE}-{SPAN}-00", None, sample=1)):
            export.answered(
                TracedRequest(
                    trace=each,
                    route="POST /models/{name}/predict",
                    status=500,
                    start=now - 0.010,
                    end=now,
                    phases=[("queue", now - 0.009, now - 0.007), ("inference", now - 0.007, now - 0.002)],
                    facts={"model": "waves", "version": 3, "arm": None},
                )
            )
        export.close(seconds=30)

    [resource_spans] = collector.resource_spans()
    resource = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
    assert (resource["service.name"], resource["service.instance.id"]) == ("prices", "worker 0")
    [scope] = resource_spans.scope_spans
    request, queue, inference = scope.spans
    assert (request.name, queue.name, inference.name) == ("POST /models/{name}/predict", "queue", "inference")
    assert {span.trace_id.hex() for span in scope.spans} == {TRACE}
    assert (request.span_id.hex(), request.parent_span_id.hex()) == (trace.span_id, SPAN)
    assert queue.parent_span_id == inference.parent_span_id == request.span_id
    assert request.trace_state == "a=1"
    assert request.kind == request.SPAN_KIND_SERVER
    assert request.status.code == request.status.STATUS_CODE_ERROR
    facts = {each.key: each.value for each in request.attributes}
    assert facts["http.route"].string_value == "/models/{name}/predict"
    assert facts["http.response.status_code"].int_value == 500
    assert facts["lightning_app.version"].int_value == 3
    assert request.end_time_unix_nano - request.start_time_unix_nano == pytest.approx(10e6, rel=0.01)
    assert abs(request.end_time_unix_nano - time.time_ns()) < 60e9
    assert request.start_time_unix_nano < queue.start_time_unix_nano < inference.start_time_unix_nano


def test_a_collector_that_is_down_delays_nothing_and_lost_requests_are_counted() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `otel`")
    from lightning_app.serving.observability.span_export import SpanExport

    dropped: list[int] = []
    export = SpanExport(endpoint="http://127.0.0.1:9", process="worker 0", on_dropped=dropped.append)
    trace = take_trace(None, None, sample=1)
    start = time.monotonic()
    for _ in range(10_000):  # more than the queue holds
        now = time.perf_counter()
        export.answered(
            TracedRequest(trace=trace, route="POST /predict", status=200, start=now, end=now, phases=[], facts={})
        )
    assert time.monotonic() - start < 1.0
    export.close(seconds=0.2)
    assert time.monotonic() - start < 5
    end = time.monotonic() + 30
    while sum(dropped) < 10_000:  # the closed exporter refuses what is left
        assert time.monotonic() < end, sum(dropped)
        time.sleep(0.01)
    assert sum(dropped) == 10_000


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost:4317", "http://", "x"])
def test_an_address_of_no_collector_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match=r"otlp_endpoint: .* e\.g\. http://localhost:4318"):
        traces_address(endpoint)


def test_the_path_is_appended_once() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `otel`")
    assert traces_address("https://collector/") == "https://collector/v1/traces"
    assert traces_address("https://collector/v1/traces") == "https://collector/v1/traces"


def test_without_opentelemetry_the_server_names_the_extra_and_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = small_package(tmp_path / "package")
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    words = ["serve", str(package), "--otlp-endpoint", "http://localhost:4318", "--journal", "none"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "otlp_endpoint: traces need an extra: pip install 'lightning-r2p[otel]'" in line
