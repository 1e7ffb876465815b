"""`lightning-app monitor serve`: pages, JSON and metrics over HTTP, also while the journal is away, and behind keys."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lightning_app.__main__ import main
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop, Observation
from lightning_app.monitoring.page.server.app import monitor_app
from lightning_app.monitoring.page.server.live_reports import LiveReports, published
from lightning_app.serving.security.access import Access
from lightning_app.serving.security.api_keys import new_key
from tests.lightning_app.monitoring.page.sample_reports import quiet_report, sample_report
from tests.lightning_app.monitoring.served import DAY, features, write_answers, write_package_with_reference


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of answers up to now."""
    folder = tmp_path_factory.mktemp("served")
    package, _ = write_package_with_reference(folder)
    times = time.time() - 60 - 2 * DAY + np.linspace(0, 2, 150, endpoint=False) * DAY
    write_answers(f"sqlite:///{folder}/journal.db", package, features(150), list(times))
    (folder / "monitor.yaml").write_text(
        "packages: [price]\nrefresh: 1s\nregistry: sqlite:///mlflow.db\n"
        "models:\n  - {model: price, window: 2d, history: 3d, reference: reference, drift: {multivariate: false}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
    words = ["monitor", "serve", "--config", "monitor.yaml", "--journal", "sqlite:///journal.db", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_app", *words], cwd=place, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("monitoring on http://127.0.0.1:"), line
    assert "price; journal sqlite:///journal.db; every 1s; no API keys: this machine only" in line
    try:
        with httpx.Client(base_url=line.split()[2].rstrip(";"), timeout=30) as client:
            yield client, process
    finally:
        process.kill()
        process.wait()


def wait(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_reports_are_shown_up_to_date_also_while_the_journal_is_away(server: Any, place: Path) -> None:
    client, process = server
    assert client.get("/healthz").status_code == 200
    wait(lambda: client.get("/healthz").json()["status"] == "ok")
    page = client.get("/")
    assert page.headers["refresh"] == "60"
    assert "script" not in page.text.partition("<body>")[2]
    assert "No drift in" in page.text
    assert client.get("/models/price").status_code == 200
    assert client.get("/models/other").json()["error"]["message"] == "model: 'other' given, reports are of price"
    first = client.get("/report.json").json()["reports"][0]
    assert first["versions"][0]["requests"] > 0
    assert 'lightning_app_monitor_requests{model="price"' in client.get("/metrics").text
    assert client.post("/report.json").status_code == 405
    wait(lambda: client.get("/report.json").json()["reports"][0]["made"] > first["made"])

    for file in place.glob("journal.db*"):
        file.rename(place / f"away-{file.name}")
    health = wait(lambda: (found := client.get("/healthz").json())["status"] == "stale" and found)
    assert "journal.db does not exist" in str(health["problems"])
    assert re.search("(price|journal): no newer report than that of", client.get("/").text)
    assert "No drift in" in client.get("/models/price").text
    for file in place.glob("away-*"):
        file.rename(place / file.name.removeprefix("away-"))
    wait(lambda: client.get("/healthz").json()["status"] == "ok")

    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == 0


def test_keys_guard_everything_that_is_known_of_models(tmp_path: Path) -> None:
    key, digest = new_key("ops")
    other, other_digest = new_key("client")
    keys = tmp_path / "keys.yaml"
    keys.write_text(
        f"keys:\n- {{id: ops, sha256: {digest}, scopes: [admin]}}\n"
        f"- {{id: client, sha256: {other_digest}, scopes: [predict]}}\n"
    )
    keys.chmod(0o600)
    config = MonitorConfig()
    live = LiveReports(config, MonitoringLoop(config))
    reports = (sample_report(), quiet_report(model="a b/<c>"))
    live.newest = published(Observation(reports=reports), title="Watched")
    app = monitor_app(live, Access.open(str(keys), tmp_path / "counters"))

    async def check() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            for path in ("/report.json", "/metrics", "/page/monitor", "/page/monitor/bikes"):
                assert (await client.get(path)).status_code == 401, path
                assert (await client.get(path, headers={"x-api-key": other})).status_code == 403, path
                assert (await client.get(path, headers={"x-api-key": key})).status_code == 200, path
            for path in ("/", "/models/bikes"):
                shell = await client.get(path)
                assert shell.status_code == 200
                assert "mae" not in shell.text
            assert 'data-source="../page/monitor/bikes"' in shell.text
            assert 'src="../page/monitor.js"' in shell.text
            assert (await client.get("/page/monitor.js")).status_code == 200
            answer = await client.get("/page/monitor/bikes", headers={"authorization": f"Bearer {key}"})
            assert "style-src 'sha256-" in answer.headers["content-security-policy"]
            assert "mae is 52.3" in answer.text

    asyncio.run(check())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "--insecure if that is meant"),
        (["--refresh", "often"], "--refresh: 'often' is no duration"),
        (["--window", "2d"], "--model: none given"),
        (["--port", "99999"], "--port: 99999 given"),
        (["--keys", "none.yaml"], "none.yaml"),
    ],
)
def test_wrong_options_are_refused_before_anything_listens(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", "serve", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
