import json
import os
import subprocess
import sys
import time

# Logs as a worker does; what it logs is its last argument.
START = """
import logging, sys, time, warnings
from lightning_app.serving.observability.logs import configure_logs, log_answer
dropped = []
handler = configure_logs(level=sys.argv[1], process="worker 0", on_dropped=lambda: dropped.append(1))
def answer(status, **more):
    log_answer(status=status, request_id="r1", model="waves", version=3, arm="champion", num_rows=2, seconds=0.0123456,
               key_id="k", trace_id="t", **more)
"""


def logged(level: str, body: str) -> list[dict[str, object]]:
    result = subprocess.run(
        [sys.executable, "-c", START + body + "\nhandler.close()", level], stderr=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line) for line in result.stderr.splitlines()]


def test_errors_are_one_line_always_and_requests_at_debug_only() -> None:
    body = """
answer(200)
answer(422, code="bad_rows")
try:
    1 / 0
except ZeroDivisionError as error:
    answer(500, code="internal", error=error)
logging.getLogger("uvicorn.error").info("Started server process")
logging.getLogger("uvicorn.error").error("Exception in\\nASGI application")
warnings.warn("old", UserWarning, stacklevel=1)
logging.getLogger("lightning_app.serving").info("loaded", extra={"facts": {"model": "waves", "version": 4}})
"""
    lines = logged("info", body)
    assert [line["message"] for line in lines[:3]] == ["refused", "failed", "Exception in\nASGI application"]
    assert lines[0] | {"time": ""} == {
        "time": "",
        "level": "warning",
        "process": "worker 0",
        "logger": "lightning_app.serving.requests",
        "message": "refused",
        "request_id": "r1",
        "model": "waves",
        "version": 3,
        "arm": "champion",
        "status": 422,
        "rows": 2,
        "latency_ms": 12.346,
        "key_id": "k",
        "trace_id": "t",
        "code": "bad_rows",
    }
    assert "ZeroDivisionError" in str(lines[1]["traceback"])
    assert "UserWarning: old" in str(lines[3]["message"])
    assert (lines[4]["level"], lines[4]["message"], lines[4]["version"]) == ("info", "loaded", 4)
    assert [line["message"] for line in logged("debug", "answer(200)")] == ["answered"]


def test_a_reader_that_stops_reading_stops_no_request_and_dropped_lines_are_told() -> None:
    body = """
start = time.monotonic()
for _ in range(30_000):
    answer(500)
print(f"{time.monotonic() - start:.1f} {len(dropped)} {handler.dropped}", flush=True)
sys.stdin.read(1)
"""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", START + body + "\nhandler.close()", "info"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
    )
    os.close(writer)
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        seconds, dropped, counted = process.stdout.readline().split()
        assert float(seconds) < 20
        assert dropped == counted
        assert int(dropped) > 15_000  # 10,000 wait, and the pipe holds a few hundred
        process.stdin.write("x")
        process.stdin.flush()
        with os.fdopen(reader, encoding="utf-8") as lines:
            read = [json.loads(line) for line in lines]
    assert any(line["message"] == f"log lines were dropped: {dropped} so far" for line in read)
    assert sum(line["message"] == "failed" for line in read) + int(dropped) == 30_000


def test_a_process_whose_log_nobody_reads_ends_in_time() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", START + "for _ in range(20_000): answer(500)\nhandler.close()", "info"], stderr=writer
    )
    os.close(writer)
    start = time.monotonic()
    assert process.wait(timeout=30) == 0
    assert time.monotonic() - start < 20
    os.close(reader)
