"""Faults that are injected on purpose: only on loopback, said everywhere, and survived."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lightning_app.__main__ import main
from tests.lightning_app.serving.supervisor.running_server import RECORDS, Clients, running_server
from tests.packages import small_package


def chaos_file(faults: Sequence[dict[str, Any]]) -> Path:
    Path("chaos.yaml").write_text(yaml.safe_dump({"faults": list(faults)}))
    return Path("chaos.yaml")


def journal_of(detail: dict[str, Any]) -> tuple[str, int]:
    return detail["journal"]["state"], detail["journal"]["pending"]


@pytest.mark.parametrize(
    ("faults", "words", "message"),
    [
        ([{"kind": "error"}], ("--host", "0.0.0.0", "--insecure"), "faults are injected on 127.0.0.1 only"),
        ([{"kind": "error", "model": "price"}], (), "chaos: model: 'price' given, served are small_mlp"),
        ([{"kind": "error", "arm": "large"}], (), "chaos: arm: 'large' given, small_mlp has champion"),
        ([{"kind": "store_down"}], (), "chaos: store_down given, but small_mlp reads no online store"),
        ([{"kind": "journal_down", "model": "small_mlp"}], (), "all models have one journal"),
        ([{"kind": "explode"}], (), "Invalid enum value 'explode'"),
        ([], (), "Expected `array` of length >= 1"),
    ],
)
def test_faults_that_cannot_be_are_refused_at_the_start(
    package: Path,
    faults: list[dict[str, Any]],
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (*words, "--journal", "none", "--port", "0", "--check")
    assert main(["serve", str(package), "--chaos", str(chaos_file(faults)), *words]) == 2
    assert message in capsys.readouterr().err


def test_faults_are_said_everywhere_and_a_fallback_answers(package: Path) -> None:
    other = small_package(Path("other"), seed=5)
    chaos_file([{"kind": "error", "arm": "champion", "share": 0.5}, {"kind": "journal_down", "seconds": 1.0}])
    content = {
        "models": [{"model": str(package), "fallback": [{"model": str(other)}]}],
        "workers": 1,
        "journal": {"url": "sqlite:///journal.db", "on_failure": "spill"},
    }
    Path("serve.yaml").write_text(yaml.safe_dump(content))
    with running_server("--config", "serve.yaml", "--chaos", "chaos.yaml") as server:
        assert "CHAOS: 2 faults are injected on purpose" in server.announcement
        answers = [httpx.post(f"{server.address}/predict", json=RECORDS) for _ in range(60)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json().get("degraded") for answer in answers} >= {None, "error"}
        assert {answer.headers["x-chaos"] for answer in answers} == {"faults are injected on purpose"}
        detail = server.get("/health/ready")
        assert detail["chaos"][0] == "error (champion) for 50 % of the calls, from 0 s after the start to the end"
        assert server.get("/page/data")["problems"][0].startswith("faults are injected on purpose: error")
        assert "CHAOS: faults are injected on purpose" in server.errors
        server.wait_for(
            lambda: server.get("/health/ready")["journal"] | {"since": 0} == {"state": "up", "since": 0, "pending": 0}
        )
        assert server.stop() == 0


@pytest.mark.slow
def test_a_worker_that_a_call_freezes_is_replaced_and_its_successor_answers_beside_the_frozen_call(
    package: Path,
) -> None:
    chaos_file([{"kind": "freeze", "arm": "champion", "share": 0.2, "after": 3.0}])
    content = {
        "models": [{"model": str(package), "fallback": [{"constant": {"price": 1.0}}], "deadline_ms": 400}],
        "workers": 1,
        "journal": {"url": None},
        "limits": {"unresponsive_seconds": 4},
    }
    Path("serve.yaml").write_text(yaml.safe_dump(content))
    with running_server("--config", "serve.yaml", "--chaos", "chaos.yaml") as server:
        (first,) = server.workers
        with Clients(f"{server.address}/predict", RECORDS, keep=lambda answer: answer.get("degraded")) as clients:
            server.wait_for(lambda: server.workers not in ([], [first]))  # the call on the event loop never ends
            assert "a call of a model holds up the event loop and cannot be stopped" in server.errors
            assert "worker 0 gave no sign of life" in server.errors
            (second,) = server.workers
            server.wait_for(lambda: server.get("/health/live")["status"] == "live")
            before = len(clients.answers)
            time.sleep(6)  # it freezes again, in threads that are left behind
            assert server.workers == [second]
            assert len(clients.answers) > before + 50
            assert "hang" in clients.answers[before:]
        assert server.get("/health/ready")["models"]["small_mlp"]["breakers"]["champion"]["stuck_calls"] > 0
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(30) == 0  # nobody waits for the threads that hang
