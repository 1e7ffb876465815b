"""Dashboard, alerts and autoscaler name metrics that a real server has."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from lightning_app.__main__ import main
from lightning_app.monitoring.report import metric_names as monitor_names
from lightning_app.monitoring.report.exposition import EXPOSED_PREFIX, metrics_text
from lightning_app.monitoring.report.structs import MetricSample
from lightning_app.serving.config import monitor_files
from lightning_app.serving.config.control_channel import Load, Loaded, RegistryState
from lightning_app.serving.observability.metric_names import HELP
from lightning_app.serving.security.api_keys import new_key
from tests.deploy.shipped import DEPLOY, KUBERNETES
from tests.lightning_app.serving.server import resolved, running_worker
from tests.packages import COLUMNS, small_package

METRIC = re.compile(r"\blightning_app_[a-z0-9_]+")
OF_PROMETHEUS = {"job", "instance", "le", "namespace", "pod"}


DASHBOARDS = {file.name: json.loads(file.read_text()) for file in (DEPLOY / "grafana/dashboards").glob("*.json")}
RULES = ("rules.yaml", "monitoring_rules.yaml")


def expressions() -> Iterator[tuple[str, str]]:
    """Where an expression stands, and the expression."""
    for dashboard in DASHBOARDS.values():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield f"panel {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"variable {variable['name']}", variable["query"]["query"]
    for file in RULES:
        for group in yaml.safe_load((DEPLOY / "prometheus" / file).read_text())["groups"]:
            for rule in group["rules"]:
                yield f"rule {rule.get('alert') or rule['record']}", rule["expr"]
    for rule in yaml.safe_load((KUBERNETES / "monitoring/adapter_rules.yaml").read_text()):
        yield "adapter", rule["seriesQuery"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[str, set[str]]:
    """Labels by name of the sample, in `/metrics` of a worker that has answered, refused, and loaded a version.

    Beside it, a monitor has left every metric that it has.
    """
    folder: Path = tmp_path_factory.mktemp("metrics")
    package, newer, newest = (small_package(folder / str(seed), name="price", seed=seed) for seed in range(3))
    body = {"records": [dict.fromkeys(COLUMNS, 0.5)]}
    key, digest = new_key("all")
    keys = folder / "keys.json"
    keys.touch(0o600)
    scopes = ["predict", "feedback", "admin"]
    keys.write_text(json.dumps({"keys": [{"id": "all", "sha256": digest, "scopes": scopes}]}))
    price = {"model": str(package), "name": "price", "cache": 10, "shadow": {"model": str(newer), "sample": 1.0}}
    spare = {"model": str(package), "name": "spare", "fallback": [{"constant": {"price": 0.0}}], "breaker": {}}
    config = {
        "models": [price, spare],
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "keys": str(keys),
        "chaos": {"faults": [{"kind": "error", "model": "spare"}]},
        "monitor": "monitor.yaml",
    }
    monitoring = [
        MetricSample(name=name, labels=dict.fromkeys(metric.labels, "x"), value=1.0, time=1.0)
        for name, metric in monitor_names.METRICS.items()
    ]
    left = folder / "run" / monitor_files.FOLDER / monitor_files.METRICS
    left.parent.mkdir(parents=True)
    left.write_bytes(metrics_text(monitoring))
    shadow = replace(resolved(newer, "price"), arm="shadow")
    models = [resolved(package, "price"), shadow, resolved(package, "spare")]
    with running_worker(folder / "run", models, config=config) as worker:
        assert worker.client.post("/predict", json=body).status_code == 401
        worker.client.headers["X-Api-Key"] = key
        answer = worker.client.post("/predict", json=body)
        assert answer.status_code == 200, answer.text
        worker.client.post("/feedback", json={"request_id": answer.json()["request_id"], "outcome": 1.0})
        worker.command(RegistryState(reachable=True, since="2026-01-01T00:00:00+00:00"))
        assert worker.client.post("/models/spare/predict", json=body).json()["degraded"]
        worker.command(Load(models=[resolved(newest, "price"), *models[1:]]))
        while not isinstance(worker.event(), Loaded):
            pass
        end = time.monotonic() + 10  # shadows are asked after the answer
        while "lightning_app_shadow_rows_total" not in (text := worker.client.get("/metrics").text):
            assert time.monotonic() < end
            time.sleep(0.05)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    assert {name for name in found if name.startswith("lightning_app_monitor_")} == {
        EXPOSED_PREFIX + name for name in monitor_names.METRICS
    }
    return found


def test_every_metric_of_dashboard_alerts_and_adapter_is_served(samples) -> None:
    late = {"lightning_app_sessions", "lightning_app_breaker_state"} & HELP.keys()  # are set once a second
    late |= {"lightning_app_hanging_calls_total"}  # there is none
    names = {(where, name) for where, text in expressions() for name in METRIC.findall(text)}
    assert {(where, name) for where, name in names if name not in samples and name not in late} == set()


def test_every_label_that_an_expression_selects_exists(samples) -> None:
    wrong = []
    for where, text in expressions():
        for name, selectors in re.findall(r"(lightning_app_\w+)\{([^}]*)\}", text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
            if name in samples and (missing := labels - samples[name] - OF_PROMETHEUS):
                wrong.append((where, name, missing))
    assert wrong == []


def test_the_alerts_of_prometheus_are_those_of_the_monitor(tmp_path) -> None:
    written = tmp_path / "rules.yaml"
    words = ["rules", "--config", str(DEPLOY / "compose/monitor.yaml"), "--prometheus", str(written)]
    assert main(["monitor", *words]) == 0
    assert written.read_text() == (DEPLOY / "prometheus/monitoring_rules.yaml").read_text()
    assert yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())["rule_files"] == list(RULES)


def test_autoscaler_asks_for_what_the_adapter_gives() -> None:
    (rule,) = yaml.safe_load((KUBERNETES / "monitoring/adapter_rules.yaml").read_text())
    autoscaler = yaml.safe_load((KUBERNETES / "overlays/production/autoscaler.yaml").read_text())
    asked = [metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"] if metric["type"] == "Pods"]
    assert asked == [rule["name"]["as"]]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_reads_the_provisioned_source_and_places_no_panel_over_another(name) -> None:
    dashboard = DASHBOARDS[name]
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    provisioning = DEPLOY / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/files.yaml").read_text())["providers"]
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == source["uid"]
    volumes = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in volumes
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
