"""A whole server with gRPC: its port is announced, shared by its workers, and by nobody else."""

import os
import re
import signal
import socket
from pathlib import Path

import grpc
import httpx
import pytest

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.serving.command import run
from tests.lightning_app.serving.grpc.grpc_calls import Calls, infer_request
from tests.lightning_app.serving.supervisor.running_server import running_server
from tests.lightning_app.serving.v2.test_infer import X

REQUEST = infer_request("small_mlp", {"features": X})
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


def test_workers_share_a_port_that_no_other_server_gets(
    packages: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = (packages["price"], "--grpc-port", 0, "--workers", 2, "--journal", "none")
    with running_server(*words) as server:
        match = re.search(r"; gRPC on (127\.0\.0\.1:(\d+)); ", server.announcement)
        assert match, server.announcement
        address, port = match[1], int(match[2])
        assert server.get("/health/ready")["grpc"] == {"address": address}
        for _ in range(6):
            with grpc.insecure_channel(address, options=OPTIONS) as channel:
                assert Calls(channel).infer(REQUEST)[0].outputs
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
        capsys.readouterr()
        assert main(["serve", str(packages["price"]), "--port", "0", "--grpc-port", str(port)]) == 2
        expected = f"grpc_port: {port} of 127.0.0.1 is in use; give another one with --grpc-port (0 takes a free one)"
        assert expected in capsys.readouterr().err
        for pid in server.workers[:1]:
            os.kill(pid, signal.SIGKILL)
        with grpc.insecure_channel(address, options=OPTIONS) as channel:
            assert Calls(channel).infer(REQUEST, wait_for_ready=True)[0].outputs
        assert httpx.get(f"{server.address}/health/live").status_code == 200
        assert server.stop() == 0


def test_the_library_is_named_where_it_is_missing(packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_app.serving.command._NEEDED_BY_GRPC", ("grpc", "not_installed.here"))
    message = r"grpc_port: needs not_installed.here: pip install 'lightning-r2p\[serve-grpc\]'"
    with pytest.raises(UsageError, match=message):
        run(["serve", str(packages["price"]), "--grpc-port", "0"])
