"""What a worker says of its requests: metrics, logs and traces."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lightning_app.serving import Client, RequestRefusedError
from lightning_app.serving.http.answers import notes_header
from tests.lightning_app.serving.observability.collector import Collector, running_collector
from tests.lightning_app.serving.server import running_worker
from tests.packages import COLUMNS, small_package

ROWS = [dict.fromkeys(COLUMNS, 0.5)] * 2
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_requests_are_counted_logged_and_traced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `otel`")
    package = small_package(tmp_path / "mlp")
    with running_collector() as collector:
        config = {"log_level": "debug", "otlp_endpoint": collector.address, "otlp_sample": 0.0}
        with running_worker(tmp_path / "worker", [("mlp", package)], config=config) as worker:
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1", "X-Request-Id": "traced"}
            answer = worker.client.post("/predict", json={"records": ROWS}, headers=headers)
            with Client(worker.address) as client:
                client.predict(ROWS)
                for bad in ({"model": "none"}, {"at": "last"}):
                    with pytest.raises(RequestRefusedError):
                        client.predict(ROWS, **bad)
            exposition = worker.client.get("/metrics")
            assert worker.client.get("/nowhere?secret=1").status_code == 404
        _check_spans(collector, answer.headers["traceparent"])
    assert answer.headers["tracestate"] == "a=1"

    assert exposition.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(exposition.text)
        for sample in family.samples
    }
    assert samples["lightning_app_requests_total", "", "200", "champion", "mlp"] == 2
    assert samples["lightning_app_requests_total", "", "422", "champion", "mlp"] == 1
    assert samples["lightning_app_requests_total", "", "", "", "404"] == 1
    assert samples["lightning_app_rows_total", "", "champion", "mlp"] == 4
    assert samples["lightning_app_in_flight_requests",] == 1  # the one for the metrics

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    answered, refused = ([line for line in lines if line["message"] == message] for message in ("answered", "refused"))
    assert [line["status"] for line in answered] == [200, 200]
    assert (answered[0]["request_id"], answered[0]["trace_id"]) == ("traced", TRACE)
    assert {line["code"] for line in refused} == {"no_such_model", "bad_request", "no_such_route"}
    assert (refused[-1]["method"], refused[-1]["path"]) == ("GET", "/nowhere")
    assert not [line for line in lines if "traceback" in line]


def _check_spans(collector: Collector, traceparent: str) -> None:
    """Only the trace that its client samples is exported."""
    request, *phases = collector.spans()
    assert traceparent == f"00-{TRACE}-{request.span_id.hex()}-01"
    assert (request.name, request.parent_span_id.hex()) == ("POST /models/{name}/predict", SPAN)
    assert [phase.name for phase in phases] == ["queue", "inference"]
    assert all(phase.trace_id.hex() == TRACE and phase.parent_span_id == request.span_id for phase in phases)
    times = [time for phase in phases for time in (phase.start_time_unix_nano, phase.end_time_unix_nano)]
    slack = 1_000_000  # each span converts its own times to Unix time
    assert all(earlier <= later + slack for earlier, later in pairwise(times))
    assert request.start_time_unix_nano <= times[0] + slack
    assert times[-1] <= request.end_time_unix_nano + slack


def test_notes_fit_into_a_header_and_into_the_journal() -> None:
    header = notes_header(["5 rows: dropped; 'é' unknown"]).decode("ascii")
    assert ";" not in header
    assert json.loads(header) == ["5 rows: dropped; 'é' unknown"]
    assert json.loads(notes_header(["x" * 100] * 100)) == ["100 notes, too long for a header: ask for JSON"]
