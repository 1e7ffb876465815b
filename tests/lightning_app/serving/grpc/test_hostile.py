"""Hostile input: whatever is sent, the worker goes on, answers no INTERNAL and stays small."""

import asyncio
import contextlib
import gzip
import resource
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_app.serving.grpc.messages import ModelInferRequest
from tests.lightning_app.serving.grpc.grpc_calls import SERVICE, Calls, calls_of, infer_request, refused
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.lightning_app.serving.v2.test_infer import X

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def resident_mib(worker: RunningWorker) -> float:
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def still_answers(worker: RunningWorker) -> None:
    with calls_of(worker) as calls:
        assert calls.infer(infer_request("price", {"features": X}))[0].outputs
    assert worker.client.get("/v2/health/ready").status_code == 200


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_message_makes_the_server_fail(calls: Calls, data: st.DataObject) -> None:
    tensors = {"features": X[:1], "text": np.array([b"a"], dtype=object), "state_0": np.zeros((1, 6), "f4")}
    names = data.draw(st.lists(st.sampled_from(sorted(tensors)), min_size=1, unique=True))
    model = data.draw(st.sampled_from(("price", "classes", "text", "nodes", "load", "")))
    message = infer_request(model, {name: tensors[name] for name in names}, is_raw=data.draw(st.booleans()))
    damaged = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        calls.infer(bytes(damaged))
    except grpc.RpcError as error:
        outcome = error.code().name, error.details()
    else:
        outcome = "OK", ": "
    assert outcome[0] in ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"), outcome
    assert ": " in outcome[1]
    answers = list(calls.stream([bytes(damaged), message]))
    assert len(answers) == 2


def test_messages_over_the_limit_and_bombs_are_refused(worker: RunningWorker) -> None:
    before = resident_mib(worker)
    options = [("grpc.max_send_message_length", -1)]
    with calls_of(worker, options=options) as calls:
        code, details, _ = refused(lambda: calls.infer(bytes(200_000)))
        assert code == "RESOURCE_EXHAUSTED"
        assert "100000" in details
    with calls_of(worker, options=options, compression=grpc.Compression.Gzip) as calls:
        assert calls.infer(infer_request("price", {"features": X}))[0].outputs
        assert refused(lambda: calls.infer(bytes(200 * 2**20)))[0] == "RESOURCE_EXHAUSTED"
        assert len(gzip.compress(bytes(2**20))) < 2000
    still_answers(worker)
    assert resident_mib(worker) - before < 50


@pytest.mark.parametrize("part", [b"\x2a\x00", b"\x22\x00", b"\x32\x00"], ids=["inputs", "parameters", "outputs"])
def test_a_message_of_many_parts_is_refused_before_it_takes_memory(calls: Calls, part: bytes) -> None:
    code, details, _ = refused(lambda: calls.infer(part * 45_000))
    assert (code, details) == ("INVALID_ARGUMENT", "body: over 4,096 fields, parameters and tensors given; send fewer")


def test_parts_within_a_tensor_count_too(calls: Calls) -> None:
    inner = b"\x22\x00" * 40_000
    size = len(inner)
    body = b"\x2a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + inner
    assert ModelInferRequest.FromString(body).inputs
    assert refused(lambda: calls.infer(body))[1].startswith("body: over 4,096 fields")


def test_metadata_are_bounded(calls: Calls) -> None:
    request = infer_request("price", {"features": X})
    long = refused(lambda: calls.infer(request, metadata=(("x-request-id", "a" * 40_000),)))
    assert long[0] == "RESOURCE_EXHAUSTED"
    wrong = refused(lambda: calls.infer(request, metadata=(("x-request-id", "a b"),)))
    assert wrong[:2] == ("INVALID_ARGUMENT", "X-Request-Id: 1 to 128 letters, digits and _.:- needed")


def test_garbage_on_the_wire_closes_a_connection_and_nothing_else(worker: RunningWorker) -> None:
    assert worker.grpc_address is not None
    host, _, port = worker.grpc_address.partition(":")
    frame = struct.pack(">I", 2**24 - 1)[1:] + b"\x00\x00\x00\x00\x00\x01"
    rapid = b"".join(
        struct.pack(">I", 4)[1:] + b"\x03\x00" + struct.pack(">II", number, 8) for number in range(1, 999, 2)
    )
    for garbage in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(range(256)) * 100,
        PREFACE + bytes(9) + frame + b"x" * 1000,
        PREFACE + b"\xff" * 5000,
        PREFACE + bytes(9) + rapid,
        b"\x16\x03\x01" + bytes(600),
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            try:
                connection.sendall(garbage)
                connection.settimeout(0.2)
                while connection.recv(65536):
                    pass
            except (OSError, TimeoutError):
                pass
    still_answers(worker)


def test_a_request_that_does_not_arrive_is_given_up(worker: RunningWorker) -> None:
    with calls_of(worker) as calls:
        waits = threading.Event()

        def nothing() -> Any:
            waits.wait(20)
            yield b""

        begin = time.monotonic()
        call = calls.channel.stream_unary(f"{SERVICE}ModelInfer")
        code, details, _ = refused(lambda: call(nothing(), timeout=15))
        assert (code, details) == ("DEADLINE_EXCEEDED", "the request did not arrive within 2 s")
        assert time.monotonic() - begin < 10
        waits.set()


async def open_streams(address: str, *, channels: int, streams: int) -> list[str]:
    """Opens streams that ask nothing; statuses of those that are refused."""
    async with contextlib.AsyncExitStack() as stack:
        own = [("grpc.use_local_subchannel_pool", 1)]
        opened = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=own)) for _ in range(channels)
        ]
        calls = [
            channel.stream_stream(f"{SERVICE}ModelStreamInfer")(timeout=60)
            for channel in opened
            for _ in range(streams)
        ]
        codes = [asyncio.ensure_future(call.code()) for call in calls]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while sum(code.done() for code in codes) < channels * streams - 50:
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        found = [code.result().name for code in codes if code.done()]
        for call in calls:
            call.cancel()
        return found


@pytest.mark.slow
def test_a_thousand_streams_are_bounded_and_leave_room_for_others(tmp_path: Path, packages: dict[str, Path]) -> None:
    config = {"grpc_port": 0, "limits": {"connections": 50}}
    with running_worker(tmp_path / "w", [("price", packages["price"])], config=config) as worker:
        assert worker.grpc_address is not None
        still_answers(worker)
        before = resident_mib(worker)
        statuses: list[str] = []
        thread = threading.Thread(
            target=lambda: statuses.extend(
                asyncio.run(open_streams(worker.grpc_address or "", channels=10, streams=100))
            )
        )
        thread.start()
        still_answers(worker)
        thread.join(90)
        assert statuses == ["UNAVAILABLE"] * 950
        assert resident_mib(worker) - before < 100
        still_answers(worker)


def test_connections_over_the_limit_are_closed_at_once(tmp_path: Path, packages: dict[str, Path]) -> None:
    config = {"grpc_port": 0, "limits": {"connections": 10}}
    with running_worker(tmp_path / "w", [("price", packages["price"])], config=config) as worker:
        assert worker.grpc_address is not None
        host, _, port = worker.grpc_address.partition(":")
        with contextlib.ExitStack() as stack:
            flood = [stack.enter_context(socket.create_connection((host, int(port)), timeout=5)) for _ in range(30)]
            assert all(connection.recv(1) for connection in flood[:10])  # SETTINGS
            assert not any(connection.recv(1) for connection in flood[10:])
            assert 'code="503"' in worker.client.get("/metrics").text
        time.sleep(0.2)
        still_answers(worker)
