"""The processes of a server: how it starts, survives the death of a worker, and ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from lightning_app.packaging import Package
from lightning_app.serving.security.api_keys import new_key
from lightning_app.serving.security.key_file import KeyEntry, write_key_file
from tests.conftest import CONFIGS
from tests.lightning_app.serving.supervisor.running_server import RECORDS, ROW, Clients, is_alive, running_server
from tests.packages import small_package

HEAVY = ("numpy", "onnxruntime", "polars", "mlflow", "torch")


def answer_of(package: Path) -> float:
    return float(Package.load(package).predict({name: [value] for name, value in ROW.items()})["price"][0])


def test_a_dead_worker_is_replaced_and_everything_ends_in_order(package: Path) -> None:
    with running_server(package, "--journal", "none", "--workers", 2, TMPDIR=str(Path.cwd())) as server:
        digest = Package.load(package).digest
        assert re.fullmatch(
            rf"serving on http://127.0.0.1:\d+; small_mlp {digest[:12]} \({package}\); 2 workers; journal none; "
            r"no API keys: this machine only\n",
            server.announcement,
        )
        assert server.predict(ROW)["predictions"][0]["price"] == pytest.approx(answer_of(package), rel=1e-5)
        loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert [name for name in HEAVY if f"/{name}/" in loaded] == []
        first, second = server.workers
        loaded = Path(f"/proc/{second}/maps").read_text()
        assert [name for name in ("torch", "pandas", "sqlalchemy") if f"/{name}/" in loaded] == []
        with Clients(f"{server.address}/predict", RECORDS, keep=lambda answer: answer["digest"]) as clients:
            server.wait_for(lambda: bool(clients.answers))
            os.kill(first, signal.SIGKILL)
            server.wait_for(lambda: len(server.workers) == 2 and first not in server.workers)
            server.wait_for_log("was killed by SIGKILL; restarted at once")
            time.sleep(0.5)
        assert set(clients.answers) == {digest}
        assert len(clients.errors) <= 4, clients.errors  # those that the dead one was answering
        assert second in server.workers
        page = f"{server.address}/metrics"
        server.wait_for(lambda: "\nlightning_app_workers 2.0\n" in httpx.get(page).text)
        metrics = httpx.get(page).text
        assert "\nlightning_app_worker_starts_total 3.0\n" in metrics
        counted = re.search(r"\nlightning_app_requests_total\{.*code=\"200\".*\} (.*)\n", metrics)
        assert counted is not None
        assert len(clients.answers) < float(counted[1]) <= len(clients.answers) + 1 + len(clients.errors)
        (folder,) = Path().glob("lightning-app-serve-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        workers = server.workers
        assert server.stop() == 0
        assert not any(map(is_alive, workers))
        assert not folder.exists()
        lines = [json.loads(line) for line in server.errors.splitlines()]
        said = [(line["process"], line["message"]) for line in lines]
        assert said[-2:] == [("supervisor", "draining"), ("supervisor", "ended")]
        assert said.count(("supervisor", "ready")) == 1
        assert sum(message == "loaded" for _, message in said) == 3


def test_a_worker_whose_event_loop_hangs_is_replaced_while_the_others_answer(package: Path) -> None:
    content = {
        "models": [{"model": str(package)}],
        "workers": 2,
        "journal": {"url": None},
        "limits": {"unresponsive_seconds": 2},
    }
    Path("serve.yaml").write_text(yaml.safe_dump(content))
    with running_server("--config", "serve.yaml") as server:
        server.wait_for(lambda: len(server.workers) == 2)
        first, second = server.workers
        os.kill(first, signal.SIGSTOP)  # as if its event loop were held up: it neither answers nor ends
        with Clients(f"{server.address}/predict", RECORDS, keep=lambda answer: answer["digest"]) as clients:
            server.wait_for(lambda: len(server.workers) == 2 and first not in server.workers)
        assert "worker 0 gave no sign of life for" in server.errors
        assert second in server.workers
        assert clients.answers  # of the other one


def test_answers_that_are_being_made_are_finished_and_no_new_ones_begun(package: Path) -> None:
    with running_server(package, "--journal", "none", "--workers", 1) as server, ThreadPoolExecutor(1) as pool:
        port = httpx.URL(server.address).port
        assert port is not None
        body = msgspec.json.encode(RECORDS)
        head = (
            f"POST /predict HTTP/1.1\r\nhost: me\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + body[:5])
            time.sleep(0.2)
            ending = pool.submit(server.stop)
            server.wait_for(lambda: not accepts(port))
            client.sendall(body[5:])
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert ending.result() == 0


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_second_signal_ends_at_once_what_would_be_waited_for(package: Path) -> None:
    with running_server(package, "--journal", "none", "--workers", 1) as server:
        port = httpx.URL(server.address).port
        assert port is not None
        workers = server.workers
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: me\r\ncontent-length: 100\r\n\r\n{")
            time.sleep(0.2)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            assert server.process.poll() is None
            begin = time.monotonic()
            assert server.stop(signal.SIGINT) == 1
            assert time.monotonic() - begin < 3
        assert not any(map(is_alive, workers))
        assert "ended at once by a second signal" in server.errors


def test_workers_end_when_their_supervisor_was_killed_and_the_next_server_removes_its_folder(package: Path) -> None:
    here = str(Path.cwd())
    with running_server(package, "--journal", "none", "--workers", 1, TMPDIR=here) as server:
        workers = server.workers
        assert workers
        server.process.kill()
        server.wait_for(lambda: not any(map(is_alive, workers)))
    (left,) = Path().glob("lightning-app-serve-*")
    with running_server(package, "--journal", "none", "--workers", 1, TMPDIR=here) as server:
        assert not left.exists()
        assert server.stop() == 0


def test_a_server_that_is_ended_while_it_starts_leaves_nothing(package: Path) -> None:
    command = [sys.executable, "-m", "lightning_app", "serve", str(package), "--port", "0", "--journal", "none"]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent), "TMPDIR": str(Path.cwd())}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        while not list(Path().glob("lightning-app-serve-*/models.json")):
            time.sleep(0.01)
        server.send_signal(signal.SIGHUP)
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate()
    assert server.returncode == 0
    assert b"Traceback" not in output, output.decode()
    assert not list(Path().glob("lightning-app-serve-*"))


def test_a_reload_does_not_open_a_server_without_keys_on_the_address_that_it_keeps(package: Path) -> None:
    file = Path("server.yaml")
    config = {"models": [{"model": str(package)}], "workers": 1, "journal": {"url": None}, "host": "0.0.0.0"}
    _, digest = new_key("me")
    write_key_file(Path("keys.yaml"), [KeyEntry(id="me", sha256=digest, scopes=["predict"])])
    file.write_text(yaml.safe_dump({**config, "keys": "keys.yaml"}))
    with running_server("--config", file) as server:
        file.write_text(yaml.safe_dump({**config, "host": "127.0.0.1"}))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("the configuration before is kept: host: 0.0.0.0 given without keys")
        answer = httpx.post(server.address.replace("0.0.0.0", "127.0.0.1") + "/predict", json=RECORDS)
    assert answer.status_code == 401


def test_keys_models_and_settings_are_read_again_without_a_restart(tmp_path: Path) -> None:
    packages = [small_package(tmp_path / f"package-{seed}", seed=seed) for seed in (1, 2)]
    config = {"models": [{"model": "served", "name": "mlp"}], "workers": 1, "journal": {"url": None}}
    file, link = Path("server.yaml"), Path("served")
    file.write_text(yaml.safe_dump(config))
    link.symlink_to(packages[0])
    with running_server("--config", file) as server:
        (worker,) = server.workers
        with Clients(f"{server.address}/predict", RECORDS, keep=price_and_digest, num_clients=2) as clients:
            server.wait_for(lambda: bool(clients.answers))
            link.unlink()
            link.symlink_to(packages[1])
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(lambda: server.predict(ROW)["digest"] == Package.load(packages[1]).digest)
            assert server.workers == [worker]
            damaged = small_package(tmp_path / "damaged", seed=3)
            (damaged / "model.onnx").write_bytes(b"no model")
            link.unlink()
            link.symlink_to(damaged)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("mlp is refused, mlp")
            refused = server.get("/health/ready")["registry"]["refused"]
            assert [entry["name"] for entry in refused] == ["mlp"]
        assert clients.errors == []
        expected = {(answer_of(package), Package.load(package).digest) for package in packages}
        assert_same_answers(set(clients.answers), expected)

        file.write_text(yaml.safe_dump({**config, "port": 1, "modells": 1}))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("unknown field `modells`, did you mean 'models'?")
        models = [{"model": str(packages[0]), "name": "one"}, {"model": str(packages[1]), "name": "two"}]
        file.write_text(yaml.safe_dump({**config, "models": models, "host": "::1"}))
        with Clients(f"{server.address}/predict", RECORDS, keep=price_and_digest, num_clients=2) as clients:
            server.wait_for(lambda: bool(clients.answers))
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("host and port need a restart")
            server.wait_for_log("the configuration was replaced")
            server.wait_for(lambda: not is_alive(worker))
        assert clients.errors == []
        assert len({digest for _, digest in clients.answers}) == 2  # the model before, and the first one now
        assert [model["name"] for model in server.get("/models")["models"]] == ["one", "two"]
        assert server.predict(ROW, "/models/two/predict")["digest"] == Package.load(packages[1]).digest
        assert server.stop() == 0


def price_and_digest(answer: dict[str, Any]) -> tuple[float, str]:
    return answer["predictions"][0]["price"], answer["digest"]


def assert_same_answers(answers: set[tuple[float, str]], expected: set[tuple[float, str]]) -> None:
    assert len(answers) == len(expected)
    for (price, digest), (wanted, of) in zip(
        sorted(answers, key=lambda pair: pair[1]), sorted(expected, key=lambda pair: pair[1]), strict=True
    ):
        assert digest == of
        assert price == pytest.approx(wanted, rel=1e-5)


def test_a_server_whose_output_nobody_reads_serves_on(package: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = ("serve", str(package), "--journal", "none", "--workers", "1", "--port", "0")
    with subprocess.Popen(
        [sys.executable, "-m", "lightning_app", *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)},
    ) as process:
        os.close(writer)
        assert process.stderr is not None
        ready = next(line for line in map(json.loads, process.stderr) if line["message"] == "ready")
        time.sleep(0.3)
        assert httpx.get(f"{ready['address']}/health/ready").status_code == 200
        process.terminate()
        assert process.wait(30) == 0
