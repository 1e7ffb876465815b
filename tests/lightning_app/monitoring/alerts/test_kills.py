import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_app.monitoring.alerts import AlertService
from lightning_app.monitoring.config.alert_sinks import LogSink, WebhookSink
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from tests.lightning_app.monitoring.alerts.receivers import web_receiver
from tests.lightning_app.monitoring.alerts.rules import MINUTE, START, engine, mae, rule, said

PROCESS = """
import sys
from lightning_app.monitoring.alerts.store.states import read_clock
from lightning_app.monitoring.config.alert_sinks import WebhookSink
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.monitoring.alerts.rules import MINUTE, START, engine, mae, rule
url, address = sys.argv[1:]
database = open_database(url)
alerts = engine(database, rule(), sinks=[WebhookSink(name="log", url=address)])
print("ready", flush=True)
while True:
    clock = read_clock(database, "monitor")
    now = START if clock is None else clock.latest + MINUTE
    alerts.evaluate([mae(11.0 if (now - START) // MINUTE % 3 else 1.0)], now)
    alerts.deliver(now)
"""


@pytest.mark.slow
def test_kills_neither_lose_nor_repeat_a_change(journal_url: str) -> None:
    engine(journal_url).close()
    with web_receiver() as web:
        for _ in range(12):
            process = subprocess.Popen(
                [sys.executable, "-c", PROCESS, journal_url, web.url], cwd=Path(__file__).parents[4],
                stdout=subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(random.uniform(0.05, 0.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
        messages = said(journal_url)
        alerts = engine(journal_url, rule(), sinks=[WebhookSink(name="log", url=web.url)])
        while alerts.deliver(START + 1000 * MINUTE).sent:
            pass
    assert len(messages) > 24
    assert (
        messages
        == [("errors firing",), ("errors resolved",)] * (len(messages) // 2) + messages[len(messages) // 2 * 2 :]
    )
    assert messages[-1] in {("errors firing",), ("errors resolved",)}
    ids = [request.headers["webhook-id"] for request in web.requests]
    assert len(set(ids)) == len(messages)
    assert len(ids) - len(set(ids)) <= 12  # at most the one in flight at each kill
    order = {one: json.loads(request.body)["status"] for one, request in zip(ids, web.requests, strict=True)}
    assert [(f"errors {status}",) for status in order.values()] == messages


def test_a_service_sends_beside_its_evaluations_and_what_is_due_when_it_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    with web_receiver() as web:
        hook = WebhookSink(name="hook", url=web.url)
        config = MonitorConfig(alerts=(rule(),), sinks=(hook, LogSink(name="log")))
        service = AlertService(config, url=url)
        (state,) = service.evaluate([mae(11)], time.time())
        assert state.status == "firing"
        end = time.monotonic() + 10
        while not web.requests:
            assert time.monotonic() < end
            time.sleep(0.01)
        service.evaluate([mae(1)], time.time())
        service.close()
    assert [json.loads(request.body)["status"] for request in web.requests] == ["firing", "resolved"]
    assert engine(url, rule(), holder="another").evaluate([], time.time())[0].status == "resolved"
