import pytest

from lightning_app.errors import UsageError
from lightning_app.monitoring.alerts.readings import read
from lightning_app.monitoring.alerts.rules.check import check_alerts
from lightning_app.monitoring.alerts.rules.selectors import matches
from lightning_app.monitoring.config.alert_sinks import EmailSink, Secret, WebhookSink
from lightning_app.monitoring.config.monitor_config import read_monitor_config
from tests.lightning_app.monitoring.alerts.rules import LOG, mae, rule

HOOK = {"name": "hook", "url": "https://example.org/x"}
MAIL = {"name": "mail", "host": "localhost", "sender": "a@example.org", "to": ("b@example.org",)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metric": "monitor_qualty"}, "no metric 'monitor_qualty', did you mean 'monitor_quality'?"),
        ({"select": {"modle": "bikes"}}, "no label 'modle', did you mean 'model'?"),
        ({"metric": "monitor_rows", "bound": "lower"}, "monitor_rows has no interval"),
        ({"below": 1.0}, "above and below given; exactly one"),
        ({"above": None}, "no bound given"),
        ({"above": float("nan")}, "a finite number"),
        ({"clear": 11.0}, "clear: 11 given, at most above (10)"),
        ({"for": "3 days"}, "for: '3 days' is no duration"),
        ({"for": "1d", "windows": 3}, "for and windows: both given"),
        ({"repeat_every": "daily"}, "repeat_every: 'daily' is no duration"),
        ({"labels": {"model": "x"}}, "'model' is taken"),
        ({"message": "{modle}"}, "no field 'modle', did you mean 'model'?"),
        ({"message": "{value.real}"}, "no field 'value.real'"),
        ({"message": "{value!r}"}, "!r is not allowed"),
        ({"message": "{value:>1000000000}"}, "format '>1000000000' given"),
        ({"message": "{model:10}"}, "model is a text and takes no format"),
        ({"annotations": {"do": "{"}}, "annotations.do: '{'"),
        ({"sinks": ["lgo"]}, "no sink 'lgo', did you mean 'log'?; there are: log"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_allowed(wrong, message) -> None:
    with pytest.raises(UsageError, match="alerts: errors: ") as refused:
        check_alerts([rule(**wrong)], [LOG])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        (WebhookSink(**HOOK | {"url": "ftp://x"}), "'ftp' given, an address with http"),
        (WebhookSink(**HOOK, secret=Secret()), "secret: exactly one of file and env"),
        (WebhookSink(**HOOK, secret=Secret(env="K"), format="slack"), "only receivers of format json"),
        (WebhookSink(**HOOK, match={"sevrity": "page"}), "no label 'sevrity', did you mean 'severity'?"),
        (WebhookSink(**HOOK, group_by=("modle",)), "group_by: no label 'modle'"),
        (WebhookSink(**HOOK, give_up_after="ever"), "'ever' is no duration"),
        (EmailSink(**MAIL, username="me"), "one given without the other"),
        (EmailSink(**MAIL, username="me", password=Secret(env="P"), security="none"), "security: none given with a"),
    ],
)
def test_a_wrong_sink_is_refused_with_what_is_allowed(sink, message) -> None:
    with pytest.raises(UsageError, match="sinks: ") as refused:
        check_alerts([], [sink])
    assert message in str(refused.value)


def test_names_are_there_once() -> None:
    with pytest.raises(UsageError, match="alerts: errors is there twice"):
        check_alerts([rule(), rule()], [])


def test_a_misspelt_key_of_the_file_is_refused_with_the_nearest_one(tmp_path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text("alerts:\n- {name: errors, metric: monitor_quality, above: 1, repeat_evry: 1d}\n")
    with pytest.raises(UsageError, match="did you mean 'repeat_every'"):
        read_monitor_config(file)


def test_labels_are_selected_by_value_list_and_star() -> None:
    labels = {"model": "bikes", "version": "bikes@3", "slice": "hour=1.5"}
    assert matches({}, labels)
    assert matches({"version": "bikes@*", "model": ("cars", "bikes")}, labels)
    assert matches({"slice": "hour=1.5", "arm": ""}, labels)
    assert not matches({"slice": "hour=1*6"}, labels)
    assert not matches({"slice": "hour=1?5*"}, {"slice": "hour=1.5.1"})
    assert not matches({"model": ("cars", "planes")}, labels)


def test_a_message_holds_the_labels_and_the_number_and_runs_nothing() -> None:
    text = "{{{model}}} of {version}: {name} {value:.1f} > {threshold:.0f} ({severity}, {alert})"
    annotations = {"share": "{value:.0%}"}
    (reading,) = read(rule(message=text, annotations=annotations), [mae(12.34, model="{value.__class__}")])
    assert reading.text == "{{value.__class__}} of 3: monitor_quality 12.3 > 10 (warn, errors)"
    assert reading.annotations == {"share": "1234%"}
    (reading,) = read(rule(bound="lower"), [mae(12.3456, metric="monitor_quality_low"), mae(1.0)])
    assert reading.text == "3 mae: monitor_quality_low is 12.35, above 10"


def test_labels_of_a_rule_are_those_of_its_alerts() -> None:
    (reading,) = read(rule(labels={"team": "bikes-team"}, severity="page"), [mae(1.0)])
    assert reading.labels["team"] == "bikes-team"
    assert (reading.labels["alert"], reading.labels["severity"], reading.holds) == ("errors", "page", False)


def test_a_number_that_is_no_number_is_no_sample() -> None:
    absent = rule(above=None, absent=True, select={"model": "bikes", "version": "*"})
    assert read(rule(), [mae(float("nan"))]) == []
    (reading,) = read(absent, [mae(float("nan"))])
    assert (reading.holds, reading.text) == (True, "bikes: monitor_quality is absent")
    (reading,) = read(absent, [mae(1.0, model="cars")])
    assert reading.holds
    (reading,) = read(absent, [mae(1.0)])
    assert not reading.holds
