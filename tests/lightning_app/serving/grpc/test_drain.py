"""The end of a worker, and deadlines: what is being answered is answered."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lightning_app.serving.grpc.grpc_calls import calls_of, infer_request, refused
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.lightning_app.serving.v2.test_infer import X

REQUEST = infer_request("price", {"features": X})


@pytest.fixture
def slow(tmp_path: Path, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    """A worker whose answers take 0.6 s."""
    batching = {"batching": {"max_rows": 1024, "window_ms": 600}}
    config = {"grpc_port": 0}
    with running_worker(tmp_path / "w", [("price", packages["price"])], config=config, model_config=batching) as worker:
        yield worker


def await_in_flight(worker: RunningWorker, count: int) -> None:
    """Waits until a worker is answering so many calls, and has read what they ask."""
    end = time.monotonic() + 10
    said = f"lightning_app_in_flight_requests {count + 1}.0"  # the question itself too
    while said not in worker.client.get("/metrics").text:
        assert time.monotonic() < end
    time.sleep(0.05)


def test_what_is_asked_before_the_end_is_answered(slow: RunningWorker) -> None:
    answers: list[Any] = []
    said: list[Any] = []
    waits = threading.Event()

    def requests() -> Iterator[Any]:
        yield REQUEST
        waits.wait(10)

    def stream() -> None:
        answers.append(next(stream_calls))
        said.append(refused(lambda: next(stream_calls)))

    with calls_of(slow) as calls:
        stream_calls = calls.stream(requests())
        threads = [threading.Thread(target=lambda: answers.append(calls.infer(REQUEST))) for _ in range(3)]
        threads.append(threading.Thread(target=stream))
        for thread in threads:
            thread.start()
        await_in_flight(slow, 4)
        slow.process.terminate()
        for thread in threads:
            thread.join(10)
        waits.set()
        assert len(answers) == 4
        status, message, _ = said[0]  # the client may see its connection closed before the reason, and says so itself
        assert status == "UNAVAILABLE"
        assert message == "the server ends; open the stream again" or "Server shutdown" in message
        assert slow.process.wait(10) == 0
        assert refused(lambda: calls.infer(REQUEST))[0] == "UNAVAILABLE"


def test_a_deadline_that_passes_ends_the_request(slow: RunningWorker) -> None:
    with calls_of(slow) as calls:
        call = calls.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        begin = time.monotonic()
        assert refused(lambda: call(REQUEST.SerializeToString(), timeout=0.2))[0] == "DEADLINE_EXCEEDED"
        assert time.monotonic() - begin < 0.5
        future = call.future(REQUEST.SerializeToString(), timeout=5)
        time.sleep(0.1)
        future.cancel()
        time.sleep(0.2)
        metrics = slow.client.get("/metrics").text
        assert 'code="499"' in metrics
        assert calls.infer(REQUEST)[0].outputs
        assert "lightning_app_in_flight_requests 1.0" in slow.client.get("/metrics").text  # this one
