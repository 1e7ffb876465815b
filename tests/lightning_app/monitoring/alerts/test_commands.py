import json
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.monitoring.config.monitor_config import read_monitor_config
from tests.conftest import CONFIGS
from tests.lightning_app.monitoring.alerts.rules import START, engine, mae, rule

EXAMPLE = str(CONFIGS / "monitoring/monitor.yaml")


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """A journal with an alert that fires and one that is pending."""
    url = f"sqlite:///{tmp_path}/journal.db"
    alerts = engine(url, rule(labels={"team": "rides"}), rule(name="late", windows=2))
    alerts.evaluate([mae(11)], START)
    alerts.deliver(START)
    alerts.close()
    return url


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = main(["monitor", *words])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["monitor", *words]) == 2
    return capsys.readouterr().err


def test_alerts_are_listed_with_states_and_sinks(journal, capsys, tmp_path) -> None:
    out = printed(capsys, "alerts", "--journal", journal)
    assert "3 mae: monitor_quality is 11, above 10" in out
    assert out.index("firing") < out.index("pending")
    found = json.loads(printed(capsys, "alerts", "--journal", journal, "--json"))
    assert [(one["rule"], one["status"], one["num_sent"]) for one in found["alerts"]] == [
        ("errors", "firing", 1), ("late", "pending", 0),
    ]  # fmt: skip
    assert found["sinks"] == [{"sink": "log", "waiting": 0, "sent": 1, "failed": 0, "error": None}]
    config = tmp_path / "monitor.yaml"
    config.write_text(
        f"journal: {journal}\nalerts: [{{name: quiet, metric: monitor_rows, below: 1}}]\n"
        "sinks: [{kind: log, name: other}]\n"
    )
    found = json.loads(printed(capsys, "alerts", "--config", str(config), "--json"))
    assert [(one["rule"], one["status"]) for one in found["alerts"]][-1] == ("quiet", "inactive")
    assert [one["sink"] for one in found["sinks"]] == ["log", "other"]
    assert "quiet" in printed(capsys, "alerts", "--config", str(config))
    assert "quiet" not in printed(capsys, "alerts", "--config", str(config), "--firing")


def test_a_journal_without_alerts_says_so(tmp_path, capsys) -> None:
    engine(f"sqlite:///{tmp_path}/journal.db").close()
    assert printed(capsys, "alerts", "--journal", f"sqlite:///{tmp_path}/journal.db") == "no alerts\n"
    assert "does not exist" in refused(capsys, "alerts", "--journal", f"sqlite:///{tmp_path}/other.db")


def test_a_silence_is_made_listed_and_ended(journal, capsys) -> None:
    words = ("team=rides", "--for", "2h", "--reason", "known [x]", "--by", "ann", "--journal", journal)
    out = printed(capsys, "silence", "add", *words)
    assert "covers 1 of 2 alerts" in out
    silence = out.split()[1]
    assert f"[silenced: known [x] (ann, {silence})]" in printed(capsys, "alerts", "--journal", journal)
    (found,) = json.loads(printed(capsys, "silence", "list", "--json", "--journal", journal))
    assert (found["id"], found["matchers"], found["is_active"]) == (silence, {"team": "rides"}, True)
    assert "team=rides" in printed(capsys, "silence", "list", "--journal", journal)
    assert "those that do: " + silence in refused(capsys, "silence", "end", "other", "--journal", journal)
    printed(capsys, "silence", "end", silence, "--journal", journal)
    assert printed(capsys, "silence", "list", "--journal", journal) == "no silences\n"
    assert silence in printed(capsys, "silence", "list", "--all", "--journal", journal)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("modle=bikes",), "no label 'modle', did you mean 'model'?"),
        (("model",), "LABEL=VALUE is needed"),
        (("model=a", "model=b"), "model is there twice"),
        (("model=*",), "covers every alert"),
        (("model=a", "--for", "2 hours"), "for: '2 hours' is no duration"),
        (("model=a", "--for", "60w"), "a year at most"),
        (("model=a", "--reason", " "), "reason: it is empty"),
    ],
)
def test_a_silence_that_is_malformed_is_refused(journal, capsys, words, message) -> None:
    words = ("--for", "2h", "--reason", "x", *words)
    assert message in refused(capsys, "silence", "add", "--journal", journal, *words)


def test_the_shipped_rules_are_right_and_listed(capsys) -> None:
    out = printed(capsys, "rules", "--config", EXAMPLE)
    assert "monitor_quality_low{model=bikes, metric=mae, arm=, slice=} > 60, until 50" in out
    names = [rule["name"] for rule in json.loads(printed(capsys, "rules", "--config", EXAMPLE, "--json"))]
    assert names == [rule.name for rule in read_monitor_config(EXAMPLE).alerts]
    assert "monitor_column_psi" in printed(capsys, "rules", "--metrics")
    assert "sinks: chat: url: environment variable CHAT_URL is not set" in refused(
        capsys, "rules", "--config", EXAMPLE, "--secrets"
    )


def test_wrong_rules_are_refused_before_anything_is_written(tmp_path, capsys) -> None:
    config, target = tmp_path / "monitor.yaml", tmp_path / "rules.yaml"
    config.write_text("alerts: [{name: a, metric: monitor_row, above: 1}]\n")
    words = ("rules", "--config", str(config), "--prometheus", str(target))
    assert "did you mean 'monitor_rows'" in refused(capsys, *words)
    config.write_text("alerts: []\n")
    assert "nothing to write" in refused(capsys, *words)
    assert not target.exists()
