from pathlib import Path

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from lightning_app.drift.result import DriftSettings
from lightning_app.errors import UsageError
from lightning_app.monitoring.config.monitor_config import MonitorConfig, MonitoredModel
from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop
from lightning_app.monitoring.observation.sources import opened_sources
from lightning_app.monitoring.report.samples import metric_samples
from lightning_app.monitoring.report.structs import MonitorReport
from lightning_app.packaging import Package
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.monitoring.served import (
    DAY,
    START,
    features,
    write_answers,
    write_package_with_reference,
)
from tests.lightning_app.serving.journal.records import outcome, prediction

NOW = START + 10 * DAY


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten days of 100 answers each; in the last two, length and width have moved and errors are larger."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    package, _ = write_package_with_reference(tmp_path)
    times = START + np.linspace(0, 8, 800, endpoint=False) * DAY
    write_answers("sqlite:///journal.db", package, features(800), list(times))
    times = START + 8 * DAY + np.linspace(0, 2, 200, endpoint=False) * DAY
    write_answers("sqlite:///journal.db", package, features(200, seed=2, shift=1.0), list(times), error=1.0,
                  known_until=NOW)  # fmt: skip
    return tmp_path


def config(place: Path, **fields: object) -> MonitorConfig:
    model = MonitoredModel(model="price", window="2d", history="10d", reference=str(place / "reference"))
    return MonitorConfig(models=(replace(model, **fields),), packages=(str(place / "price"),))


def observed(monitor: MonitorConfig, until: float = NOW) -> MonitorReport:
    with opened_sources(monitor) as sources:
        (model,) = sources.models()
        return sources.observer.observe(model, until)


def test_columns_that_moved_are_named_and_those_that_did_not_are_not(place: Path) -> None:
    report = observed(config(place))
    (version,) = report.versions
    assert version.drift is not None
    assert {column.column for column in version.drift.columns if column.drifted and column.role == "input"} == {
        "length",
        "width",
    }
    assert {cause.name for cause in version.causes} == {"length", "width"}
    assert (version.requests, version.rows, report.last_answer) == (200, 200, NOW - 0.01 * DAY)
    before = observed(config(place), until=START + 7 * DAY).versions[0]
    assert before.drift is not None
    assert not before.drift.drifted


@pytest.mark.parametrize("ignore", [(), ("order id", "oder id")])
def test_columns_that_clients_send_and_the_model_does_not_read_are_no_drift(
    place: Path, ignore: tuple[str, ...]
) -> None:
    requests = features(40, seed=4).with_columns(pl.Series("order id", [f"A-{number}" for number in range(40)]))
    times = START + 6.5 * DAY + np.linspace(0, 0.4, 40) * DAY
    write_answers("sqlite:///journal.db", place / "price", requests, list(times))
    (version,) = observed(config(place, drift=DriftSettings(ignore=ignore)), until=START + 7 * DAY).versions
    assert version.rows == 240
    assert version.drift is not None
    assert not version.drift.drifted
    assert version.causes == ()
    assert "order id" not in {column.column for column in version.drift.columns}
    assert "order id: not watched, the model does not read it" in version.drift.notes
    assert ("oder id: to be ignored by the settings, but no such column is watched" in version.drift.notes) == (
        "oder id" in ignore
    )


def test_quality_is_that_of_the_outcomes_and_its_history_has_a_point_for_each_day(place: Path) -> None:
    report = observed(config(place))
    (mae, *_) = report.versions[0].quality[0].metrics
    assert mae.metric == "mae"
    assert mae.value == pytest.approx(0.8, abs=0.15)  # of a normal error with deviation 1
    assert mae.low is not None
    assert mae.low < mae.value
    assert [point.requests for point in report.history] == [100] * 10
    days = [point.quality.metrics[0].value for point in report.history if point.quality is not None]
    assert days[0] == pytest.approx(0.08, abs=0.03)
    assert days[8] == pytest.approx(0.8, abs=0.25)
    drifted = [bool(point.drifted) for point in report.history]
    assert drifted[8:] == [True, True]
    assert sum(drifted[:8]) <= 1


def test_samples_of_a_report_have_registered_names_and_the_windows_of_drift_are_counted(place: Path) -> None:
    samples = {(one.name, *sorted(one.labels.values())): one.value for one in metric_samples(observed(config(place)))}
    label = next(key for key in samples if key[0] == "monitor_drifted")
    assert samples["monitor_drifted_windows", *label[1:]] == 2
    assert samples["monitor_requests", *label[1:]] == 200


def test_a_second_report_equals_the_first_though_it_reads_the_last_windows_alone(place: Path) -> None:
    with opened_sources(config(place)) as sources:
        (model,) = sources.models()
        first, second = (sources.observer.observe(model, NOW) for _ in range(2))
    assert replace(first, made=0.0) == replace(second, made=0.0)


def test_outcomes_that_come_later_change_the_windows_of_their_requests(place: Path) -> None:
    with opened_sources(config(place)) as sources:
        (model,) = sources.models()
        before = sources.observer.observe(model, NOW).history[-1].quality
        digest = Package.load("price", replay=False).digest
        late = prediction("late", time=NOW - 3600, digest=digest, model="price", version=None,
                          body=b'{"records":[{"length":0,"width":0,"height":0,"weight":0}]}',
                          answer=b'{"predictions":[{"price":1.0}]}')  # fmt: skip
        store = open_store("sqlite:///journal.db")
        store.write([late])
        store.feedback([outcome("late", b"1.5")])
        store.close()
        after = sources.observer.observe(model, NOW).history[-1].quality
    assert before is not None
    assert after is not None
    assert after.rows == before.rows + 1


def test_a_version_without_a_reference_says_how_to_make_one_and_still_has_its_quality(place: Path) -> None:
    (version,) = observed(config(place, reference=None)).versions
    assert version.drift is None
    assert "no drift reference in the package: export it again, or make one with" in version.notes[0]
    assert version.quality[0].metrics[0].value is not None


def test_a_package_that_is_not_there_leaves_traffic_and_says_so(place: Path) -> None:
    (version,) = observed(replace(config(place), packages=("elsewhere",))).versions
    assert version.requests == 200
    assert version.notes[0].endswith(
        "name its folder with --package, or under `packages` in monitor.yaml; no package is in elsewhere"
    )


def test_versions_are_judged_one_by_one(place: Path) -> None:
    other, _ = write_package_with_reference(place / "second", name="price", noise=0.2)
    times = NOW - 0.5 * DAY + np.linspace(0, 0.4, 60) * DAY
    write_answers("sqlite:///journal.db", other, features(60, seed=5), list(times))
    report = observed(replace(config(place), packages=(str(place / "price"), str(other))))
    assert [version.requests for version in report.versions] == [200, 60]
    assert [event.kind for event in report.events] == ["first answer", "error changed", "first answer"]
    assert [point.requests for point in report.history[-2:]] == [100, 60]


def test_slices_are_judged_within(place: Path) -> None:
    (version,) = observed(config(place, slices=("weight",), window="8d"), until=START + 8 * DAY).versions
    assert len(version.slices) == 4
    assert not any(drift.drifted for drift in version.slices.values())
    assert {quality.slice for quality in version.quality} == {None, *version.slices}


def test_unknown_outcomes_and_answers_of_the_future_are_said(place: Path) -> None:
    store = open_store("sqlite:///journal.db")
    store.feedback([outcome("nobody", b"1")])
    store.close()
    notes = observed(config(place), until=NOW - 2 * DAY).notes
    assert any("1 outcomes of the journal are of requests that it does not have" in note for note in notes)
    assert any("after the end of the report are not in it" in note for note in notes)


def test_a_model_without_answers_is_refused_by_name(place: Path) -> None:
    with pytest.raises(UsageError, match="has no predictions of 'prize'"):
        observed(config(place, model="prize"))


def test_too_many_rows_are_sampled_and_counted(place: Path) -> None:
    monitor = replace(config(place, window="10d"), most_rows=500)
    report = observed(monitor)
    assert report.versions[0].requests == 1000
    assert "1,000 rows were answered; an even sample of 50.0% of the requests was read" in report.notes
    assert report.versions[0].drift is not None
    assert 400 < report.versions[0].drift.rows < 600


def test_the_loop_keeps_the_last_report_while_the_journal_is_away_and_goes_on(place: Path) -> None:
    loop = MonitoringLoop(config(place))
    first = loop.tick(NOW)
    assert not first.problems
    journal = place / "journal.db"
    journal.rename(place / "away.db")
    loop.close()
    second = loop.tick(NOW)
    assert second.reports == first.reports
    assert "journal" in second.problems
    (place / "away.db").rename(journal)
    assert not loop.tick(NOW).problems
    loop.close()
