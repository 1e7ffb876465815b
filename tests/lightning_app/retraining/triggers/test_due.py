from pathlib import Path
from typing import Any

import msgspec
import pytest

from lightning_app.monitoring.report.structs import (
    ErrorChange,
    MetricEstimate,
    MonitorReport,
    QualityResult,
    VersionReport,
    Window,
    WindowPoint,
)
from lightning_app.retraining.config.policy import ChangeTrigger, DriftTrigger, MetricTrigger, TriggerPolicy
from lightning_app.retraining.triggers import ChampionFacts, TriggerFacts, due
from lightning_app.retraining.triggers.gather import count_labels, current_digests
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.retraining.frozen.journals import DAY, HOUR, START, hourly, policy

CHAMPION = ChampionFacts(version=3, since=START, config="a" * 64, contract="b" * 64)


def kinds(triggers: TriggerPolicy, facts: TriggerFacts, now: float) -> list[tuple[str, str]]:
    rules = msgspec.structs.replace(policy(), triggers=triggers)
    return [(trigger.kind, trigger.window) for trigger in due(rules, facts, now)]


def report(days: list[dict[str, Any]], *, version: int = 3, value: float = 50.0) -> MonitorReport:
    """A report with a window per day."""
    window = Window(since=START, until=START + DAY * len(days))

    def quality(where: Window, low: float) -> QualityResult:
        mae = MetricEstimate(metric="mae", better="lower", value=low + 5, low=low, high=low + 10, rows=100)
        return QualityResult(
            version=f"bikes@{version}", window=where, rows=100, labelled=100, waiting=0, overdue=0, is_mature=True,
            metrics=(mae,),
        )  # fmt: skip

    points = []
    for number, day in enumerate(days):
        where = Window(since=START + number * DAY, until=START + (number + 1) * DAY)
        points.append(
            WindowPoint(
                window=where,
                label=f"bikes@{day.get('version', version)}",
                requests=100,
                rows=100,
                drifted=day.get("drifted"),
                quality=quality(where, day["low"]) if "low" in day else None,
            )
        )
    versions = (
        VersionReport(
            label=f"bikes@{version}", version=version, digest="d", requests=1, rows=1, quality=(quality(window, value),)
        ),
    )
    return MonitorReport(
        model="bikes", journal="j", made=0.0, window=window, every_seconds=DAY, versions=versions,
        history=tuple(reversed(points)),
    )  # fmt: skip


def test_age_is_due_once_per_period_and_a_clock_that_jumps_back_triggers_nothing_twice() -> None:
    triggers = TriggerPolicy(age="30d")
    assert kinds(triggers, TriggerFacts(champion=CHAMPION), START + 29 * DAY) == []
    first = kinds(triggers, TriggerFacts(champion=CHAMPION), START + 31 * DAY)
    assert first == [("age", "bikes@3: 1 x 30d")]
    begun = TriggerFacts(champion=CHAMPION, begun=frozenset(first))
    for now in (START + 31 * DAY, START + 30 * DAY, START - 400 * DAY, START + 59 * DAY):
        assert kinds(triggers, begun, now) == []
    assert kinds(triggers, begun, START + 61 * DAY) == [("age", "bikes@3: 2 x 30d")]
    assert kinds(triggers, TriggerFacts(champion=None), START + 61 * DAY) == []


def test_labels_and_files_that_changed_are_due() -> None:
    triggers = TriggerPolicy(labels=100)
    facts = TriggerFacts(champion=CHAMPION, labels=99, config="a" * 64, contract="b" * 64)
    assert kinds(triggers, facts, START) == []
    facts = TriggerFacts(champion=CHAMPION, labels=205, config="c" * 64, contract="d" * 64)
    assert kinds(triggers, facts, START) == [
        ("config", "c" * 16), ("contract", "d" * 16), ("labels", "bikes@3: 2 x 100"),
    ]  # fmt: skip
    off = TriggerPolicy(config=False, contract=False)
    assert kinds(off, facts, START) == []
    of_hand = ChampionFacts(version=3, since=START)  # nobody knows its config
    assert kinds(TriggerPolicy(), TriggerFacts(champion=of_hand, config="c" * 64, contract="d" * 64), START) == []


def test_drift_only_suggests_unless_told_and_needs_windows_in_a_row() -> None:
    drift = [{"drifted": ("temp", "hum")}] * 3
    suggested = due(
        msgspec.structs.replace(policy(), triggers=TriggerPolicy(drift=DriftTrigger())),
        TriggerFacts(champion=CHAMPION, report=report(drift)),
        START,
    )
    assert [(one.kind, one.action) for one in suggested] == [("drift", "suggest")]
    assert suggested[0].reason == "drift in 3 windows in a row of the requests of bikes@3: temp, hum"
    train = TriggerPolicy(drift=DriftTrigger(action="train", columns=2))
    window = f"bikes@3: {START:.0f}-{START + 3 * DAY:.0f}"
    assert kinds(train, TriggerFacts(champion=CHAMPION, report=report(drift)), START) == [("drift", window)]
    for days in (
        drift[:2],
        [*drift[:2], {"drifted": ()}],
        [*drift[:2], {"drifted": ("temp",)}],
        [*drift[:2], {"drifted": None}],  # not judged
    ):
        assert kinds(train, TriggerFacts(champion=CHAMPION, report=report(days)), START) == []


def test_a_window_that_still_grows_is_one_trigger() -> None:
    whole = report([{"drifted": ("temp",), "low": 70.0}] * 3)
    last, *others = whole.history
    triggers = TriggerPolicy(
        drift=DriftTrigger(action="train"), metric=MetricTrigger(metric="mae", bound=60, windows=2)
    )
    found = []
    for part in (0.25, 0.5, 1.0):
        window = Window(since=last.window.since, until=last.window.since + part * DAY)
        grown = msgspec.structs.replace(last, window=window)
        now = msgspec.structs.replace(whole, history=(grown, *others))
        found.append(kinds(triggers, TriggerFacts(champion=CHAMPION, report=now), START))
    assert len(found[0]) == 2
    assert found[0] == found[1] == found[2]


def test_requests_that_a_canary_answers_cannot_begin_a_cycle() -> None:
    days = [{"drifted": ("temp",), "low": 90.0, "version": 4}] * 5
    triggers = TriggerPolicy(
        drift=DriftTrigger(action="train"), metric=MetricTrigger(metric="mae", bound=60, windows=2)
    )
    assert kinds(triggers, TriggerFacts(champion=CHAMPION, report=report(days)), START) == []
    assert kinds(triggers, TriggerFacts(champion=CHAMPION, report=report(days, version=4)), START) == []


def test_a_metric_is_due_when_its_interval_is_wholly_beyond_the_bound() -> None:
    one = TriggerPolicy(metric=MetricTrigger(metric="mae", bound=60))
    assert kinds(one, TriggerFacts(champion=CHAMPION, report=report([{}], value=55)), START) == []
    facts = TriggerFacts(champion=CHAMPION, report=report([{}], value=61))
    assert [kind for kind, _ in kinds(one, facts, START)] == ["metric"]
    two = TriggerPolicy(metric=MetricTrigger(metric="mae", bound=60, windows=2))
    assert kinds(two, TriggerFacts(champion=CHAMPION, report=report([{"low": 70}, {"low": 50}, {"low": 70}])), 0) == []
    both = TriggerFacts(champion=CHAMPION, report=report([{"low": 50}, {"low": 70}, {"low": 70}]))
    assert kinds(two, both, START) == [("metric", f"bikes@3: {START + DAY:.0f}-{START + 3 * DAY:.0f}")]
    other = TriggerPolicy(metric=MetricTrigger(metric="rmse", bound=0))
    assert kinds(other, both, START) == []


def test_labels_are_counted_once_they_are_mature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hourly(240, without={100})
    database = open_database("sqlite:///journal.db")
    counted = count_labels(policy(), database, since=START + 2 * DAY, now=START + 8 * DAY)
    assert counted == 6 * 24 - 1
    filled = count_labels(policy(missing_outcome=0), database, since=START + 2 * DAY, now=START + 8 * DAY)
    assert filled == 6 * 24
    assert count_labels(policy(), database, since=START + 8 * DAY, now=START + 8 * DAY - HOUR) == 0
    assert len(current_digests(policy())[0]) == 64


def test_a_rise_of_the_champions_error_is_due_once_also_if_a_later_report_places_it_elsewhere() -> None:
    def risen(*starts: float, version: int = 3) -> MonitorReport:
        changes = tuple(
            ErrorChange(time=at, row=1, rows=90, before=0.1, after=0.2, detected=at + 2 * HOUR, known=at + DAY)
            for at in starts
        )
        made = report([{}], version=version)
        return msgspec.structs.replace(
            made, versions=(msgspec.structs.replace(made.versions[0], error_changes=changes),)
        )

    triggers = TriggerPolicy(change=ChangeTrigger(action="train"))
    first = [("change", f"bikes@3: {START + DAY:.0f}-{START + DAY + 2 * HOUR:.0f}")]
    assert kinds(triggers, TriggerFacts(champion=CHAMPION, report=risen(START + DAY)), START) == first
    assert kinds(triggers, TriggerFacts(champion=CHAMPION, report=risen()), START) == []
    assert kinds(triggers, TriggerFacts(champion=CHAMPION, report=risen(START + DAY, version=4)), START) == []
    begun = frozenset(first)
    for at in (START + DAY - HOUR, START + DAY, START + DAY + HOUR):
        assert kinds(triggers, TriggerFacts(champion=CHAMPION, report=risen(at), begun=begun), START) == []
    later = TriggerFacts(champion=CHAMPION, report=risen(START + DAY, START + 2 * DAY), begun=begun)
    assert [window for _, window in kinds(triggers, later, START)] == [
        f"bikes@3: {START + 2 * DAY:.0f}-{START + 2 * DAY + 2 * HOUR:.0f}"
    ]
    said = TriggerFacts(champion=CHAMPION, report=risen(START + DAY + HOUR), suggested=begun)
    assert kinds(TriggerPolicy(change=ChangeTrigger()), said, START) == []
    assert [kind for kind, _ in kinds(triggers, said, START)] == ["change"]  # a suggestion is no cycle
