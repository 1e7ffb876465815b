import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lightning_app.__main__ import main
from lightning_app.monitoring.alerts.prometheus_rules import prometheus_rules
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.report.exposition import metrics_text
from lightning_app.monitoring.report.metric_names import METRICS
from lightning_app.monitoring.report.structs import MetricSample
from tests.conftest import CONFIGS
from tests.lightning_app.monitoring.alerts.rules import DAY, HOUR, START, mae, report, rule

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
QUALITY = 'lightning_app_monitor_quality{model="bikes",version="3",metric="mae"}'


def written(*rules: AlertRule, **every: float) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(prometheus_rules(rules, every))["groups"]
    return list(group["rules"])


def promtool(*words: object) -> None:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_samples_are_exposed_with_all_labels_and_read_back() -> None:
    hard = 'a"b\\c\nd'
    text = metrics_text([mae(1.5), mae(float("inf"), version=hard), mae(2.5), report()]).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {"lightning_app_monitor_quality", "lightning_app_monitor_report_seconds"}
    samples = families["lightning_app_monitor_quality"].samples
    assert {(sample.labels["version"], sample.value) for sample in samples} == {("3", 2.5), (hard, float("inf"))}
    assert all(set(sample.labels) == set(METRICS["monitor_quality"].labels) for sample in samples)
    assert metrics_text([]) == b""


def test_selectors_become_matchers_that_select_the_same() -> None:
    selected = rule(select={"model": ["bikes", "c.r"], "version": "bikes@*", "slice": 'a"b'}, bound="upper")
    (found,) = written(selected)
    assert found["expr"] == (
        'lightning_app_monitor_quality_high{model=~"bikes|c\\\\.r", version=~"bikes@.*", slice="a\\"b"} > 10.0'
    )


def test_rules_by_windows_hold_for_the_windows_of_each_model() -> None:
    counted = rule(windows=3)
    assert [one["for"] for one in written(counted)] == ["3d"]
    assert [one["for"] for one in written(counted, bikes=HOUR)] == ["3h"]
    short, long = written(counted, bikes=HOUR, cars=DAY, boats=HOUR)
    assert (short["for"], long["for"]) == ("3h", "3d")
    assert 'model=~"bikes|boats"' in short["expr"]
    (one,) = written(rule(windows=3, select={"model": "cars"}), bikes=HOUR, cars=DAY)
    assert (one["for"], one["expr"]) == ("3d", 'lightning_app_monitor_quality{model="cars"} > 10.0')


@needs_promtool
def test_the_shipped_rules_pass_promtool(tmp_path: Path) -> None:
    target = tmp_path / "rules.yaml"
    words = ["--config", str(CONFIGS / "monitoring/monitor.yaml"), "--prometheus", str(target)]
    assert main(["monitor", "rules", *words]) == 0
    promtool("check", "rules", target)


@needs_promtool
def test_prometheus_fires_and_resolves_as_the_engine_does(tmp_path: Path) -> None:
    message = "{{{model}}}, {metric}: {value:.1f} > {threshold:.0f}, {value:.0%} ({severity} {alert} {name}{team})"
    rules = [
        rule(clear=8.0, keep_firing_for="1m", message=message, labels={"team": " rides"}, **{"for": "2m"}),
        rule(name="gone", above=None, absent=True, select={"model": "bikes", "slice": "x*"}, **{"for": "1h30m"}),
    ]
    (tmp_path / "rules.yaml").write_text(prometheus_rules(rules, {}))
    labels = {"severity": "warn", "team": " rides", "model": "bikes", "version": "3", "metric": "mae"}
    text = "{{bikes}}, mae: {:.1f} > 10, {:.0%} (warn errors monitor_quality rides)"
    fires, between = (
        {"exp_labels": labels, "exp_annotations": {"summary": text.format(value, value)}} for value in (11.0, 9.0)
    )
    summary = {"summary": "bikes: monitor_quality is absent"}
    gone = {"exp_labels": {"severity": "warn", "model": "bikes"}, "exp_annotations": summary}
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": QUALITY, "values": "9 11 11 11 9 9 8 9 8 8 8 8"}],
                "alert_rule_test": [
                    {"eval_time": "2m", "alertname": "errors", "exp_alerts": []},
                    {"eval_time": "3m", "alertname": "errors", "exp_alerts": [fires]},
                    {"eval_time": "5m", "alertname": "errors", "exp_alerts": [between]},
                    {"eval_time": "7m", "alertname": "errors", "exp_alerts": [between]},
                    {"eval_time": "11m", "alertname": "errors", "exp_alerts": []},
                    {"eval_time": "80m", "alertname": "gone", "exp_alerts": []},
                    {"eval_time": "91m", "alertname": "gone", "exp_alerts": [gone]},
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    promtool("check", "rules", tmp_path / "rules.yaml")
    promtool("test", "rules", tmp_path / "test.yaml")


def test_every_sample_has_a_name_that_is_exposed() -> None:
    everything = [
        MetricSample(name=name, labels=dict.fromkeys(metric.labels, "x"), value=1.0, time=START)
        for name, metric in METRICS.items()
    ]
    text = metrics_text(everything).decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert names == {f"lightning_app_{name}" for name in METRICS}
