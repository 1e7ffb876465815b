"""Alerts of a running monitor: from the journal to a receiver, to the files of the server, and back when it ends."""

import json
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.config.alert_sinks import WebhookSink
from lightning_app.monitoring.config.monitor_config import MonitorConfig, MonitoredModel
from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop
from lightning_app.monitoring.process.published import publish
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.monitoring.alerts.receivers import web_receiver
from tests.lightning_app.serving.journal.records import prediction

BUSY = AlertRule(name="busy", metric="monitor_requests", above=2.0, message="{version}: {value:.0f} requests")


def config(tmp_path: Path, **fields: object) -> MonitorConfig:
    return MonitorConfig(
        journal=f"sqlite:///{tmp_path}/journal.db",
        registry=f"sqlite:///{tmp_path}/registry.db",
        models=(MonitoredModel(model="churn"),),
        **fields,  # type: ignore[arg-type]
    )


def test_a_monitor_evaluates_sends_and_publishes(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/journal.db")
    store.write([prediction() for _ in range(3)])
    store.close()
    with web_receiver() as web:
        settings = config(tmp_path, alerts=(BUSY,), sinks=(WebhookSink(name="hook", url=web.url),))
        loop = MonitoringLoop(settings)
        observation = loop.tick(time.time())
        (report,) = observation.reports
        assert [(state.rule, state.status, state.text) for state in report.alerts] == [
            ("busy", "firing", "churn@3: 3 requests")
        ]
        publish(observation, tmp_path, title="monitoring")
        text = (tmp_path / "monitoring/metrics.txt").read_text()
        labels = 'alert="busy",model="churn",severity="warn",status="firing"'
        assert f"lightning_app_monitor_alerts{{{labels}}} 1.0" in text
        loop.close()
        MonitoringLoop(replace(settings, alerts=())).tick(time.time() + 1)  # the rule was removed
        end = time.monotonic() + 20
        while len(web.requests) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert [json.loads(request.body)["status"] for request in web.requests] == ["firing", "resolved"]


def test_a_monitor_does_not_start_with_a_wrong_rule(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'monitor_requests'"):
        MonitoringLoop(config(tmp_path, alerts=(replace(BUSY, metric="monitor_request"),)))


def test_rules_are_evaluated_once_for_cron(tmp_path: Path, capsys) -> None:
    store = open_store(f"sqlite:///{tmp_path}/journal.db")
    store.write([prediction() for _ in range(3)])
    store.close()
    with web_receiver() as web:
        file = tmp_path / "monitor.yaml"
        file.write_text(
            f"journal: sqlite:///{tmp_path}/journal.db\nregistry: sqlite:///{tmp_path}/registry.db\n"
            "alerts: [{name: busy, metric: monitor_requests, above: 2}]\n"
            f"sinks: [{{kind: webhook, name: hook, url: {web.url}}}]\n"
        )
        for _ in range(2):
            assert main(["monitor", "alerts", "--config", str(file), "--evaluate", "--json"]) == 0
            found = json.loads(capsys.readouterr().out)
            assert [state["status"] for state in found["alerts"]] == ["firing"]
        assert len(web.requests) == 1
        assert main(["monitor", "alerts", "--evaluate"]) == 2
        assert main(["monitor", "alerts", "--config", str(file), "--evaluate", "--journal", "sqlite:///none.db"]) == 1
