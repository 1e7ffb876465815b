"""A whole server with gRPC: its port is announced, shared by its workers, and by nobody else."""

import os
import re
import signal
import socket
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import yaml

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.serving.command import run
from tests.lightning_app.serving.grpc.grpc_calls import Calls, infer_request
from tests.lightning_app.serving.supervisor.running_server import ROW, running_server
from tests.lightning_app.serving.supervisor.test_splits import KEYS, config, prices  # noqa: F401
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


def test_a_split_gives_a_key_the_same_arm_over_both_protocols(prices: dict[str, float]) -> None:  # noqa: F811
    Path("server.yaml").write_text(yaml.safe_dump(config(0.5) | {"grpc_port": 0, "workers": 1}))
    with running_server("--config", "server.yaml") as server:
        match = re.search(r"; gRPC on (\S+); ", server.announcement)
        assert match, server.announcement
        found: set[str] = set()
        with grpc.insecure_channel(match[1]) as channel:
            for key in KEYS[:20]:
                tensors = {
                    "features": np.array([list(ROW.values())], dtype=np.float32),
                    "customer": np.array([key.encode()], dtype=object),
                }
                answer, facts = Calls(channel).infer(infer_request("price", tensors))
                other = httpx.post(f"{server.address}/predict", json={"records": [{**ROW, "customer": key}]})
                assert facts["x-arm"] == other.headers["x-arm"]
                price = np.frombuffer(answer.raw_output_contents[0], "<f4")[0]
                assert price == pytest.approx(prices[facts["x-arm"]], rel=1e-6)
                found.add(facts["x-arm"])
        assert found == {"control", "treatment"}
