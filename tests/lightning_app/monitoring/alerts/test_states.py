import pytest

from lightning_app.monitoring.alerts import AlertEngine
from lightning_app.monitoring.alerts.store.silences import add_silence, end_silence, read_silences
from lightning_app.monitoring.config.alert_sinks import LogSink
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.monitoring.alerts.rules import (
    DAY,
    HOUR,
    MINUTE,
    START,
    engine,
    mae,
    report,
    rule,
    said,
    written,
)

FIRED, RESOLVED = ("errors firing",), ("errors resolved",)


def statuses(alerts: AlertEngine, values: list[float], *, step: float = MINUTE, start: float = START) -> list[str]:
    """Status of the alert after each value."""
    found = []
    for number, value in enumerate(values):
        states = alerts.evaluate([mae(value)], start + number * step)
        found.append(states[0].status if states else "inactive")
    return found


def test_an_alert_fires_when_its_rule_has_held_long_enough_and_ends_with_it(journal_url: str) -> None:
    alerts = engine(journal_url, rule(**{"for": "2m"}))
    expected = ["inactive", "pending", "inactive", "pending", "pending", "firing", "firing", "resolved", "resolved"]
    assert statuses(alerts, [9, 11, 10, 11, 11, 11, 11, 10, 9]) == expected
    assert said(journal_url) == [FIRED, RESOLVED]
    fired, resolved = (message.alerts[0] for message in written(journal_url))
    assert (fired.fired, resolved.fired, resolved.resolved) == (START + 300, START + 300, START + 420)
    assert statuses(alerts, [11], start=START + HOUR) == ["pending"]
    assert statuses(alerts, [9, 9], step=2 * DAY, start=START + 2 * HOUR) == ["inactive", "inactive"]


def test_windows_are_those_of_the_model(journal_url: str) -> None:
    alerts = engine(journal_url, rule(windows=2), every={"bikes": HOUR, "cars": DAY})
    assert statuses(alerts, [11, 11, 11], step=HOUR) == ["pending", "pending", "firing"]
    cars = [mae(11, model="cars")]
    assert [alerts.evaluate(cars, START + day * DAY)[-1].status for day in (1, 2, 3)] == [
        "pending",
        "pending",
        "firing",
    ]


def test_hysteresis_and_patience_keep_an_alert_from_flapping(journal_url: str) -> None:
    alerts = engine(journal_url, rule(clear=8.0, keep_firing_for="2m"))
    assert statuses(alerts, [11, 9, 8, 9, 8, 8, 8]) == ["firing"] * 6 + ["resolved"]
    below = engine(journal_url, rule(name="low", above=None, below=1.0, clear=2.0), monitor="second")
    assert statuses(below, [1, 0.9, 1.5, 2]) == ["inactive", "firing", "firing", "resolved"]


def test_each_set_of_labels_is_an_alert_and_those_of_a_model_are_one_message(journal_url: str) -> None:
    alerts = engine(
        journal_url, rule(select={"slice": ""}), sinks=[LogSink(name="log"), LogSink(name="all", group_by=())]
    )
    samples = [mae(11), mae(12, version="4"), mae(9, version="5"), mae(11, model="cars"), mae(99, slice="hour=1")]
    states = alerts.evaluate(samples, START)
    assert [(state.labels["model"], state.labels["version"], state.value) for state in states] == [
        ("bikes", "3", 11.0), ("bikes", "4", 12.0), ("cars", "3", 11.0),
    ]  # fmt: skip
    assert said(journal_url) == [FIRED * 2, FIRED]
    assert [message.group for message in written(journal_url)] == [{"model": "bikes"}, {"model": "cars"}]
    assert said(journal_url, "all") == [FIRED * 3]
    alerts.evaluate([*samples[2:], mae(1)], START + MINUTE)  # version 4 answers no more
    assert said(journal_url)[2:] == [RESOLVED * 2]
    gone = next(one for one in written(journal_url)[2].alerts if one.labels["version"] == "4")
    assert gone.text.endswith("; it is not measured any more")


def test_a_report_that_fails_resolves_nothing(journal_url: str) -> None:
    alerts = engine(journal_url, rule())
    alerts.evaluate([mae(11)], START)
    for samples in ([], [report("cars")]):
        (state,) = alerts.evaluate(samples, START + MINUTE)
        assert state.status == "firing"
    (state,) = alerts.evaluate([report("bikes")], START + 2 * MINUTE)
    assert state.status == "resolved"


def test_absence_is_an_alert(journal_url: str) -> None:
    alerts = engine(journal_url, rule(above=None, absent=True, select={"model": "bikes"}, **{"for": "1h"}))
    assert alerts.evaluate([mae(1)], START) == []
    assert alerts.evaluate([], START + MINUTE)[0].status == "pending"
    (state,) = alerts.evaluate([report()], START + 2 * HOUR)
    assert (state.status, state.value, state.text) == ("firing", None, "bikes: monitor_quality is absent")
    assert alerts.evaluate([mae(1)], START + 3 * HOUR)[0].status == "resolved"
    assert said(journal_url) == [FIRED, RESOLVED]


def test_an_alert_that_fires_is_sent_once_and_again_after_the_time_that_was_given(journal_url: str) -> None:
    alerts = engine(journal_url, rule(repeat_every="1h"), rule(name="once", repeat_every=None))
    for number in range(100):
        alerts.evaluate([mae(11)], START + number * 2 * MINUTE)
    assert said(journal_url) == [("errors firing", "once firing"), FIRED, FIRED, FIRED]
    assert [message.alerts[0].number for message in written(journal_url)] == [1, 2, 3, 4]


def test_a_sink_takes_what_it_is_for(journal_url: str) -> None:
    sinks = [LogSink(name="log"), LogSink(name="pager", match={"severity": "page"}), LogSink(name="other")]
    rules = [rule(), rule(name="bad", severity="page", sinks=["log", "pager"])]
    engine(journal_url, *rules, sinks=sinks).evaluate([mae(11)], START)
    assert said(journal_url) == [("bad firing", "errors firing")]
    assert (said(journal_url, "pager"), said(journal_url, "other")) == ([("bad firing",)], [FIRED])


def test_a_removed_rule_ends_its_alerts(journal_url: str) -> None:
    engine(journal_url, rule(), rule(name="late", **{"for": "1d"})).evaluate([mae(11)], START)
    (state,) = engine(journal_url).evaluate([mae(11)], START + 1)
    assert (state.status, said(journal_url)) == ("resolved", [FIRED, RESOLVED])
    assert "its rule was removed" in state.text


def test_a_changed_severity_or_bound_is_the_same_alert(journal_url: str) -> None:
    engine(journal_url, rule()).evaluate([mae(11)], START)
    (state,) = engine(journal_url, rule(severity="page", above=9.0)).evaluate([mae(11)], START + 1)
    assert (state.severity, state.since, said(journal_url)) == ("page", START, [FIRED])


def test_a_silence_keeps_states_and_holds_back_messages_until_it_ends(journal_url: str) -> None:
    alerts, database = engine(journal_url, rule()), open_database(journal_url)
    other = add_silence(database, {"alert": "errors", "model": "cars"}, seconds=HOUR, who="eve", reason="elsewhere")
    silence = add_silence(database, {"alert": "err*"}, seconds=HOUR, who="ann", reason="known, ticket 7")
    (state,) = alerts.evaluate([mae(11)], START)
    assert (state.status, state.silenced) == ("firing", f"known, ticket 7 (ann, {silence.id})")
    assert said(journal_url) == []
    assert (end_silence(database, silence.id), end_silence(database, silence.id)) == (True, False)
    assert [one.id for one in read_silences(database)] == [other.id]
    assert alerts.evaluate([mae(11)], START + 1)[0].silenced is None
    assert said(journal_url) == [FIRED]
    add_silence(database, {"alert": "errors"}, seconds=HOUR, who="ann", reason="seen")
    alerts.evaluate([mae(1)], START + 2)  # who was told that it fires is told that it ends
    assert said(journal_url) == [FIRED, RESOLVED]


def test_what_fired_and_ended_in_a_silence_is_not_sent(journal_url: str) -> None:
    alerts, database = engine(journal_url, rule()), open_database(journal_url)
    add_silence(database, {"model": "bikes"}, seconds=0.2, who="ann", reason="maintenance")
    alerts.evaluate([mae(11)], START)
    alerts.evaluate([mae(1)], START + 1)
    assert said(journal_url) == []


@pytest.mark.parametrize("behind", [1.0, 59 * MINUTE, 90 * DAY])
def test_a_clock_that_is_set_back_fires_resolves_and_repeats_nothing(journal_url: str, behind: float) -> None:
    alerts = engine(journal_url, rule(repeat_every="1h", **{"for": "1h"}))
    assert statuses(alerts, [11, 11, 11], step=HOUR) == ["pending", "firing", "firing"]
    before = said(journal_url)
    assert before == [FIRED] * 2
    now = START + 2 * HOUR - behind
    assert statuses(alerts, [1, 11, 1, 1], start=now, step=behind / 8 if behind < HOUR else MINUTE) == ["firing"] * 4
    assert said(journal_url) == before
    later = START + 2 * HOUR + 1 if behind <= HOUR else now + 2 * HOUR  # it has caught up, or is believed at last
    assert alerts.evaluate([mae(1)], later)[0].status == "resolved"
    assert said(journal_url) == [*before, RESOLVED]


def test_a_restart_neither_repeats_nor_forgets(journal_url: str) -> None:
    for number in range(6):
        alerts = engine(journal_url, rule(**{"for": "2h"}), holder=f"process {number}")
        alerts.evaluate([mae(11 if number < 5 else 1)], START + number * HOUR)
        alerts.close()
    assert said(journal_url) == [FIRED, RESOLVED]


def test_of_two_processes_one_evaluates_until_it_has_gone(journal_url: str) -> None:
    first, second = engine(journal_url, rule(), holder="first"), engine(journal_url, rule(), holder="second")
    assert first.evaluate([mae(11)], START)[0].status == "firing"
    assert second.evaluate([mae(1)], START + 1)[0].status == "firing"  # it only reads
    first.close()
    assert second.evaluate([mae(1)], START + 2)[0].status == "resolved"
    assert said(journal_url) == [FIRED, RESOLVED]


def test_monitors_of_one_journal_do_not_know_each_others_rules(journal_url: str) -> None:
    bikes = engine(journal_url, rule(), holder="a", monitor="bikes")
    cars = engine(journal_url, rule(name="cars"), holder="b", monitor="cars")
    bikes.evaluate([mae(11)], START)
    cars.evaluate([mae(11, model="cars")], START)
    assert [state.rule for state in bikes.evaluate([mae(11)], START + 1)] == ["errors"]
    assert [state.status for state in cars.states()] == ["firing"]
