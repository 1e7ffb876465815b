"""Metadata of the protocol, and health checks as Kubernetes makes them."""

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from lightning_app.serving.grpc import messages
from tests.lightning_app.serving.grpc.grpc_calls import Calls, calls_of, refused
from tests.lightning_app.serving.server import RunningWorker, running_worker

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


def test_server_and_models_are_described_as_over_http(worker: RunningWorker, calls: Calls) -> None:
    assert calls.unary("ServerLive", b"", messages.ServerLiveResponse)[0].live
    assert calls.unary("ServerReady", b"", messages.ServerReadyResponse)[0].ready
    server = calls.unary("ServerMetadata", b"", messages.ServerMetadataResponse)[0]
    assert {"name": server.name, "version": server.version, "extensions": list(server.extensions)} == (
        worker.client.get("/v2").json()
    )
    for name, version in (("classes", "3"), ("text", ""), ("load", "")):
        request = messages.ModelMetadataRequest(name=name, version=version)
        found = calls.unary("ModelMetadata", request, messages.ModelMetadataResponse)[0]
        expected = worker.client.get(f"/v2/models/{name}").json()
        assert (found.name, list(found.versions), found.platform) == (name, expected["versions"], expected["platform"])
        for field in ("inputs", "outputs"):
            tensors = [
                {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
                for each in getattr(found, field)
            ]
            assert tensors == expected[field]
        assert calls.unary("ModelReady", request, messages.ModelReadyResponse)[0].ready
    for method in ("ModelReady", "ModelMetadata"):
        for content, code, words in (
            (messages.ModelReadyRequest(name="none"), "NOT_FOUND", "model: 'none' given, served are price, classes"),
            (messages.ModelReadyRequest(name="classes", version="4"), "NOT_FOUND", "version: '4' given"),
            (b"\xff", "INVALID_ARGUMENT", "body: no request of this method"),
        ):
            found, message, _ = refused(partial(calls.unary, method, content))
            assert (found, message[: len(words)]) == (code, words)
    assert refused(lambda: calls.unary("ModelConfig"))[0] == "UNIMPLEMENTED"


def status(calls: Calls, service: str) -> int:
    answer = calls.unary(CHECK, messages.HealthCheckRequest(service=service), messages.HealthCheckResponse)[0]
    number: int = answer.status
    return number


def test_health_is_checked_by_service(worker: RunningWorker, calls: Calls) -> None:
    for service in ("", "inference.GRPCInferenceService", "liveness", "price"):
        assert status(calls, service) == 1
    assert refused(lambda: status(calls, "none"))[:2] == (
        "NOT_FOUND", "service: 'none' given, known are '', 'inference.GRPCInferenceService', 'liveness', price, "
        "classes, text, nodes, load",
    )  # fmt: skip
    watching = calls.channel.unary_stream(WATCH)(messages.HealthCheckRequest(service="none").SerializeToString())
    assert messages.HealthCheckResponse.FromString(next(watching)).status == 3
    watching.cancel()
    detail = worker.client.get("/health/ready").json()
    assert detail["grpc"] == {"address": worker.grpc_address}


def test_a_watch_hears_of_the_end(tmp_path: Path, packages: dict[str, Path]) -> None:

    config = {"grpc_port": 0}
    heard: list[int] = []
    with ExitStack() as stack:
        worker = stack.enter_context(running_worker(tmp_path / "w", [("price", packages["price"])], config=config))
        with calls_of(worker) as calls:
            watching = calls.channel.unary_stream(WATCH)(messages.HealthCheckRequest().SerializeToString())

            def listen() -> None:
                heard.extend(messages.HealthCheckResponse.FromString(each).status for each in watching)

            thread = threading.Thread(target=listen)
            thread.start()
            end = time.monotonic() + 10
            while not heard and time.monotonic() < end:
                time.sleep(0.01)
            worker.process.terminate()
            thread.join(10)
    assert heard == [1, 2]


def test_a_worker_without_the_port_does_not_load_grpc(tmp_path: Path, packages: dict[str, Path]) -> None:
    with running_worker(tmp_path / "w", [("price", packages["price"])]) as worker:
        assert "cygrpc" not in Path(f"/proc/{worker.process.pid}/maps").read_text()
        assert "grpc" not in worker.client.get("/health/ready").json()


def test_messages_do_not_clash_with_others_of_the_same_protocol() -> None:
    program = """
from google.protobuf import descriptor_pb2, descriptor_pool
for _ in range(2):
    file = descriptor_pb2.FileDescriptorProto(name="inference.proto", package="inference", syntax="proto3")
    file.message_type.add(name="ModelInferRequest").field.add(name="other", number=1, type=3, label=1)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    from lightning_app.serving.grpc.messages import ModelInferRequest
    assert ModelInferRequest.FromString(ModelInferRequest(model_name="a").SerializeToString()).model_name == "a"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
