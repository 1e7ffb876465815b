"""Experiments of whole servers: feedback over HTTP moves traffic, also after a restart, also that of another server."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import CONFIGS
from tests.lightning_app.serving.supervisor.running_server import ROW, RunningServer, running_server
from tests.packages import small_package


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions of one model."""
    folder = tmp_path_factory.mktemp("packages")
    return [small_package(folder / name, seed=seed) for seed, name in enumerate(("plain", "fancy"))]


def configured(packages: list[Path], policy: dict[str, Any], *, name: str = "prices", shares=(0.5, 0.5)) -> Path:
    arms = [{"name": "plain", "share": shares[0]}, {"name": "fancy", "model": str(packages[1]), "share": shares[1]}]
    model = {"model": str(packages[0]), "experiment": {"name": name, "arms": arms, "policy": policy}}
    content = {"models": [model], "workers": 1, "journal": {"url": f"sqlite:///{Path.cwd()}/journal.db"}}
    path = Path("serve.yaml")
    path.write_text(yaml.safe_dump(content))
    return path


def arms_of(
    server: RunningServer, number: int, *, row: dict[str, float] = ROW, good: str | None = None
) -> Counter[str]:
    """Arms that answered, each rewarded with 1 if it is the good one."""
    arms: Counter[str] = Counter()
    with httpx.Client(base_url=server.address, timeout=30) as client:
        for _ in range(number):
            answer = client.post("/predict", json={"records": [row]})
            assert answer.status_code == 200, answer.text
            arm = answer.headers["X-Arm"]
            arms[arm] += 1
            if good is not None:
                feedback = {"request_id": answer.headers["X-Request-Id"], "reward": int(arm == good)}
                assert client.post("/feedback", json=feedback).status_code == 200
    return arms


def share_of(server: RunningServer, arm: str, **asked: Any) -> float:
    return arms_of(server, 60, **asked)[arm] / 60


def test_feedback_moves_traffic_and_restarts_and_other_servers_keep_what_was_learned(packages: list[Path]) -> None:
    config = configured(packages, {"kind": "thompson", "floor": 0.01})
    with running_server("--config", config) as server:
        first = arms_of(server, 60, good="fancy")
        assert set(first) == {"plain", "fancy"}
        server.wait_for(lambda: share_of(server, "fancy") > 0.9)
        with ExitStack() as stack:
            Path("other").mkdir()
            other = stack.enter_context(running_server("--config", config))
            other.wait_for(lambda: share_of(other, "fancy") > 0.9)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    with running_server("--config", config) as server:
        server.wait_for(lambda: share_of(server, "fancy") > 0.9)
        assert arms_of(server, 5).total() == 5


@pytest.mark.slow
def test_a_linear_bandit_sends_each_row_to_the_arm_that_is_good_for_it(packages: list[Path]) -> None:
    config = configured(packages, {"kind": "linear", "columns": ["length", "widht"], "floor": 0.01})
    short, long = {**ROW, "length": 0.1}, {**ROW, "length": 0.9}
    with running_server("--config", config) as server:
        for _ in range(40):
            arms_of(server, 1, row=short, good="plain")
            arms_of(server, 1, row=long, good="fancy")
        server.wait_for(lambda: share_of(server, "plain", row=short) > 0.8)
        assert share_of(server, "fancy", row=long) > 0.8
        server.wait_for_log(
            "'widht' is no column that small_mlp reads, did you mean 'width'?; where a request lacks it"
        )
        counted = re.compile(r'\nlightning_app_replaced_values_total\{.*"widht".*"missing".*\} [1-9]')
        server.wait_for(lambda: bool(counted.search(httpx.get(f"{server.address}/metrics").text)))


def test_the_experiment_process_is_replaced_when_it_dies(packages: list[Path]) -> None:
    config = configured(packages, {"kind": "thompson"}, shares=(1.0, 0.0))
    with running_server("--config", config) as server:
        server.wait_for_log("experiment prices: begun")
        first = experiment_process(server)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        server.wait_for(lambda: experiment_process(server) not in (None, first))
        assert arms_of(server, 20) == {"plain": 20}
        process = experiment_process(server)
        assert server.stop() == 0
        assert not Path(f"/proc/{process}").exists()


def experiment_process(server: RunningServer) -> int | None:
    """Its process id; None while there is none."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for pid in children:
        try:
            if b"experiments.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        except OSError:
            continue
    return None


@pytest.mark.slow
def test_a_name_that_belongs_to_another_experiment_is_refused_at_the_start(packages: list[Path]) -> None:
    with running_server("--config", configured(packages, {"kind": "thompson"})) as server:
        server.wait_for_log("experiment prices: begun")
        server.stop()
    config = configured(packages, {"kind": "split"})
    command = [sys.executable, "-m", "lightning_app", "serve", "--config", str(config), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 2
    assert "experiment.name: 'prices' belongs to an experiment with policy" in done.stderr
    assert "a name is never used again, take another" in done.stderr
