"""The page of monitoring in a server: the newest report of the monitoring process, behind the key, without its code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lightning_app.monitoring.page.report_page import write_html
from lightning_app.monitoring.page.summary import summary
from lightning_app.serving.config import monitor_files
from lightning_app.serving.security.api_keys import new_key
from tests.chromium import chromium, hosts_asked, needs_chromium, problems
from tests.lightning_app.monitoring.page.sample_reports import quiet_report, sample_report
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import small_package


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("monitored")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    made, digest = new_key("own")
    (folder / "keys.yaml").write_text(f"keys:\n- id: own\n  sha256: {digest}\n  scopes: [predict, admin]\n")
    (folder / "keys.yaml").chmod(0o600)
    return made


@pytest.fixture(scope="module")
def worker(folder: Path, key: str) -> Iterator[RunningWorker]:
    package = small_package(folder / "package")
    config = {"keys": str(folder / "keys.yaml"), "monitor": "monitor.yaml"}
    with running_worker(folder / "w", [("prices", package)], config=config) as running:
        yield running


def publish(worker: RunningWorker) -> None:
    """Writes what the monitoring process writes."""
    target = worker.folder / monitor_files.FOLDER
    target.mkdir(exist_ok=True)
    reports = [sample_report(model="prices"), quiet_report(model="other")]
    (target / monitor_files.PAGE).write_text(write_html(*reports))
    (target / monitor_files.REPORTS).write_bytes(msgspec.json.encode({"reports": reports}))
    (target / monitor_files.SUMMARY).write_bytes(msgspec.json.encode(summary(reports, {})))


def test_reports_need_a_key_and_are_as_the_process_wrote_them(worker: RunningWorker, key: str) -> None:
    ask, admin = worker.client.get, {"x-api-key": key}
    assert ask("/monitor").status_code == 200  # without anything of the models
    assert "prices" not in ask("/monitor").text
    for path in ("/page/monitor", "/monitor.json"):
        assert ask(path).status_code == 401
    publish(worker)
    answer = ask("/page/monitor", headers=admin)
    assert "mae is 52.3" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "style-src 'sha256-" in policy
    assert "script-src 'self'" in policy
    assert ask("/monitor.json", headers=admin).json()["reports"][0]["model"] == "prices"
    data = ask("/page/data", headers=admin).json()
    assert data["monitored"]
    assert data["models"][0]["verdict"]["status"] == "bad"


def test_before_the_first_report_the_page_says_so(worker: RunningWorker, key: str) -> None:
    publish(worker)
    (worker.folder / monitor_files.FOLDER / monitor_files.PAGE).unlink()
    answer = worker.client.get("/page/monitor", headers={"x-api-key": key})
    assert answer.status_code == 404
    assert "no report yet" in answer.json()["error"]["message"]


def test_a_worker_has_nothing_of_monitoring_in_memory(worker: RunningWorker) -> None:
    worker.client.get("/monitor")
    maps = Path(f"/proc/{worker.process.pid}/maps").read_text()
    assert "/scipy/" not in maps
    assert "/sklearn/" not in maps


@needs_chromium
def test_the_report_is_shown_with_the_key_and_on_the_status_page(worker: RunningWorker, key: str) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    publish(worker)
    with chromium() as browser:

        def wait(condition: Any) -> Any:
            return WebDriverWait(browser, 30).until(lambda _: condition())

        browser.get(f"{worker.address}/monitor")
        field = wait(lambda: browser.find_element("id", "key"))
        wait(field.is_displayed)
        assert "prices" not in browser.find_element("tag name", "main").text
        field.send_keys(f"{key}\n")
        wait(lambda: browser.find_elements("css selector", "svg.chart"))
        assert "mae is 52.3" in browser.find_element("tag name", "main").text
        assert "made 23 Nov 2026" in browser.find_element("id", "made").text
        picture = browser.find_element("css selector", "path.line")
        assert browser.execute_script("return getComputedStyle(arguments[0]).stroke", picture) == "rgb(31, 95, 168)"
        browser.get(f"{worker.address}/")
        wait(lambda: "mae is 52.3" in browser.find_element("id", "models").text)
        assert browser.find_element("id", "monitor-link").is_displayed()
        assert problems(browser) == []
        assert hosts_asked(browser) == {worker.address.removeprefix("http://")}
